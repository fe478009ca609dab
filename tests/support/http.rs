//! As much of HTTP/1.1 as the stand-ins need: reads one request.

use std::io::{self, BufRead, Read};

/// One request as it came in.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads the next request, whose body may have so many bytes; `None` at the end of the connection.
    pub(crate) fn read(reader: &mut impl BufRead, body_max: usize) -> io::Result<Option<Self>> {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut words = first.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let headers = read_headers(reader)?;
        let mut request = Self { method, path, query, headers, body: Vec::new() };
        let is_chunked =
            request.header("transfer-encoding").to_ascii_lowercase().contains("chunked");
        request.body = if is_chunked {
            read_chunks(reader, body_max)?
        } else {
            let length = request.header("content-length").parse().unwrap_or(0);
            read_exactly(reader, length, body_max)?
        };
        Ok(Some(request))
    }

    /// Returns a header by its name in lower case; one that is not there is empty.
    pub(crate) fn header(&self, wanted: &str) -> &str {
        let found = self.headers.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value.as_str())
    }
}

fn read_headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(headers) };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_exactly(reader: &mut impl Read, length: usize, most: usize) -> io::Result<Vec<u8>> {
    if length > most {
        return Err(io::Error::other("the body is too large"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead, most: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        body.extend(read_exactly(reader, size, most)?);
        reader.read_line(&mut String::new())?;
        if size == 0 || body.len() > most {
            return Ok(body);
        }
    }
}

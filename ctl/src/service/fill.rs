//! Fills templates, escaping every value for the format it goes into.

use std::path::Path;

/// Why a value cannot stand in a service file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FillError {
    /// The format knows only text.
    #[error("`{0}` is not UTF-8, so that no service file can name it")]
    NotText(String),
    /// The format has no way to write this character.
    #[error("`{0}` has a control character, which this kind of service file cannot hold")]
    Control(String),
}

/// Replaces each `@NAME@` of `template` in one pass: values are never searched for names.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find('@') {
        text.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let value = values.iter().find_map(|(name, value)| {
            let after = rest.strip_prefix(name)?.strip_prefix('@')?;
            Some((*value, after))
        });
        match value {
            Some((value, after)) => {
                text.push_str(value);
                rest = after;
            }
            None => text.push('@'),
        }
    }
    text.push_str(rest);
    text
}

/// Returns a path as text.
pub(crate) fn text(path: &Path) -> Result<&str, FillError> {
    path.to_str().ok_or_else(|| FillError::NotText(path.to_string_lossy().into_owned()))
}

/// Quotes a value for a unit file; `%` begins a specifier there.
fn systemd_quoted(value: &str) -> Result<String, FillError> {
    refuse_control(value)?;
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%");
    Ok(format!("\"{escaped}\""))
}

/// Returns a program for `ExecStart=`. systemd runs no path with quotes or backslashes in it, and `$`
/// begins a variable: such a path goes through a shell, which leaves its place to the program.
pub(crate) fn systemd_program(path: &Path) -> Result<String, FillError> {
    let path = text(path)?;
    if path.contains(['"', '\'', '\\', '$']) {
        let argument = systemd_quoted(&path.replace('$', "$$"))?;
        Ok(format!(r#"/bin/sh -c "exec \"$$0\"" {argument}"#))
    } else {
        systemd_quoted(path)
    }
}

/// Returns a line that sets a variable in a unit file.
pub(crate) fn systemd_variable(name: &str, value: &str) -> Result<String, FillError> {
    Ok(format!("Environment={}", systemd_quoted(&format!("{name}={value}"))?))
}

/// Escapes a value for XML.
pub(crate) fn xml(value: &str) -> Result<String, FillError> {
    refuse_control(value)?;
    let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(escaped.replace('"', "&quot;").replace('\'', "&apos;"))
}

/// Returns the entry of a variable in a property list.
pub(crate) fn launchd_variable(name: &str, value: &str) -> Result<String, FillError> {
    let (name, value) = (xml(name)?, xml(value)?);
    Ok(format!("\t\t<key>{name}</key>\n\t\t<string>{value}</string>"))
}

/// Quotes a word for a POSIX shell; any character can stand in single quotes but their own.
pub(crate) fn shell(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Returns a line that sets a variable in a shell script.
#[expect(clippy::unnecessary_wraps, reason = "the other formats can refuse a value")]
pub(crate) fn shell_variable(name: &str, value: &str) -> Result<String, FillError> {
    Ok(format!("export {name}={}", shell(value)))
}

/// Returns the lines that set every variable.
pub(crate) fn variables(
    variables: &[(String, String)],
    line: fn(&str, &str) -> Result<String, FillError>,
) -> Result<String, FillError> {
    let lines: Result<Vec<_>, _> =
        variables.iter().map(|(name, value)| line(name, value)).collect();
    Ok(lines?.join("\n"))
}

fn refuse_control(value: &str) -> Result<(), FillError> {
    if value.contains(char::is_control) {
        Err(FillError::Control(value.to_owned()))
    } else {
        Ok(())
    }
}

//! Conversations nobody had: the shapes of real transcripts, from a seed.
//!
//! The same line types, key order, chaining and repetition as the real client writes: one API message
//! over several lines with one `message.id`, tool calls with results, signed thinking, titles and other
//! lines without uuid that repeat after each turn, subagents, spilled tool results, a compaction.

use std::path::Path;

use convosync_core::id::{Random, SeededRandom, hex};
use jiff::Timestamp;

pub mod object;
mod words;

use object::{Object, array};

/// The client version the lines claim.
const VERSION: &str = "2.1.197";

/// When the first conversation begins; later seeds begin later, so that order is defined.
const BEGINS_MS: i64 = 1_767_225_600_000;

/// Files of a session besides the main transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// Path below the transcripts' folder, with `/`.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A conversation as it goes on; each call gives the lines that come next.
#[derive(Debug, Clone)]
pub struct Conversation {
    random: SeededRandom,
    session: String,
    cwd: String,
    parent: Option<String>,
    last_prompt: String,
    now_ms: i64,
    turns: u32,
    messages: u32,
}

impl Conversation {
    /// Begins the conversation of `seed` in the directory `cwd`.
    pub fn new(seed: u64, cwd: &Path) -> Self {
        let mut random = SeededRandom::new(seed);
        let session = uuid(&mut random);
        let now_ms = BEGINS_MS + i64::try_from(seed % 10_000).expect("it is small") * 3_600_000;
        let cwd = cwd.to_string_lossy().into_owned();
        Self {
            random,
            session,
            cwd,
            parent: None,
            last_prompt: String::new(),
            now_ms,
            turns: 0,
            messages: 0,
        }
    }

    /// Goes on with the conversation of this id, which somebody else began, after the line `leaf`.
    pub fn resumed(seed: u64, cwd: &Path, session: &str, leaf: Option<String>) -> Self {
        Self { session: session.to_owned(), parent: leaf, ..Self::new(seed, cwd) }
    }

    /// Returns the session's id.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Returns how many messages a person would count so far.
    pub fn messages(&self) -> u32 {
        self.messages
    }

    /// Returns the uuid of the last line of the chain.
    pub fn leaf(&self) -> Option<&str> {
        self.parent.as_deref()
    }

    /// Returns the next turn: a prompt, thinking, text, tool calls with their results, and what stands after it.
    pub fn turn(&mut self) -> Vec<String> {
        let prompt = words::sentence(&mut self.random, 12);
        self.turn_saying(&prompt)
    }

    /// Returns the next turn with `prompt` as what the user says.
    pub fn turn_saying(&mut self, prompt: &str) -> Vec<String> {
        prompt.clone_into(&mut self.last_prompt);
        let mut lines = Vec::new();
        if self.turns == 0 {
            lines.push(self.bare("permission-mode").text("permissionMode", "default").done());
        }
        let snapshot = uuid(&mut self.random);
        lines.push(self.snapshot(&snapshot));
        lines.push(self.prompt(prompt));
        for _ in 0..=self.pick(3) {
            lines.extend(self.tool_use());
        }
        lines.extend(self.reply());
        lines.extend(self.metadata());
        self.turns += 1;
        lines
    }

    /// Returns a compaction: a boundary without parent and the summary that goes on from it.
    pub fn compaction(&mut self) -> Vec<String> {
        let logical = self.parent.take();
        let mut boundary = self.envelope("system");
        boundary = boundary
            .optional("logicalParentUuid", logical.as_deref())
            .text("subtype", "compact_boundary");
        let details = Object::new().text("trigger", "auto").number("preTokens", 155_000).done();
        let boundary = boundary
            .text("content", "Conversation compacted")
            .raw("compactMetadata", &details)
            .done();
        let text = format!(
            "This session is being continued from a previous conversation. {}",
            words::paragraph(&mut self.random, 40)
        );
        let message = Object::new().text("role", "user").text("content", &text).done();
        let summary = self
            .envelope("user")
            .raw("isCompactSummary", "true")
            .raw("isVisibleInTranscriptOnly", "true");
        vec![boundary, summary.raw("message", &message).done()]
    }

    /// Returns a subagent's transcript with its description, in the folder of this session.
    pub fn subagent(&mut self) -> [Sidecar; 2] {
        let agent = hex(&self.random.bytes::<8>());
        let mut inner = Self { parent: None, ..self.clone() };
        let lines: Vec<String> =
            inner.turn().into_iter().filter(|line| line.contains("\"isSidechain\"")).collect();
        let line = |line: &String| {
            line.replacen(
                "\"isSidechain\":false",
                &format!("\"isSidechain\":true,\"agentId\":\"{agent}\""),
                1,
            ) + "\n"
        };
        self.random = inner.random;
        let path = format!("{}/subagents/agent-{agent}", self.session);
        let task = words::sentence(&mut self.random, 5);
        let meta = Object::new()
            .text("agentType", "general-purpose")
            .text("description", &task)
            .number("spawnDepth", 1)
            .done();
        [
            Sidecar {
                path: format!("{path}.jsonl"),
                bytes: lines.iter().map(line).collect::<String>().into_bytes(),
            },
            Sidecar { path: format!("{path}.meta.json"), bytes: meta.into_bytes() },
        ]
    }

    /// Returns a tool's output that was too long for its line.
    pub fn spilled_result(&mut self, lines: usize) -> Sidecar {
        let name = format!("toolu_{}", token(&mut self.random, 24));
        let text = words::listing(&mut self.random, lines);
        Sidecar {
            path: format!("{}/tool-results/{name}.txt", self.session),
            bytes: text.into_bytes(),
        }
    }

    fn prompt(&mut self, prompt: &str) -> String {
        self.messages += 1;
        let message = Object::new().text("role", "user").text("content", prompt).done();
        let mode = Object::new()
            .text("level", "high")
            .raw("disabled", "false")
            .raw("triggers", "[]")
            .done();
        self.envelope("user").raw("message", &message).raw("thinkingMetadata", &mode).done()
    }

    /// One API message that thinks, speaks and calls a tool (three lines), and the tool's answer.
    fn tool_use(&mut self) -> Vec<String> {
        let (id, request) = self.begin_message();
        let call = format!("toolu_{}", token(&mut self.random, 24));
        let file = format!("{}/src/{}.rs", self.cwd, words::word(&mut self.random));
        let input = Object::new().text("file_path", &file).done();
        let thought = words::paragraph(&mut self.random, 3);
        let signature = token(&mut self.random, 400);
        let thinking = Object::new()
            .text("type", "thinking")
            .text("thinking", &thought)
            .text("signature", &signature)
            .done();
        let words = words::sentence(&mut self.random, 9);
        let text = Object::new().text("type", "text").text("text", &words).done();
        let tool = Object::new()
            .text("type", "tool_use")
            .text("id", &call)
            .text("name", "Read")
            .raw("input", &input)
            .done();
        let mut lines: Vec<String> = [thinking, text, tool]
            .iter()
            .map(|block| self.assistant(&id, &request, block, None))
            .collect();
        lines.push(self.tool_result(&call, &file));
        lines
    }

    fn tool_result(&mut self, call: &str, file: &str) -> String {
        let asked_by = self.parent.clone();
        let rows = 10 + self.pick(60);
        let text = words::listing(&mut self.random, rows);
        let block = Object::new()
            .text("tool_use_id", call)
            .text("type", "tool_result")
            .text("content", &text)
            .done();
        let message = Object::new().text("role", "user").raw("content", &array(&[block])).done();
        let read = Object::new()
            .text("filePath", file)
            .text("content", &text)
            .number("numLines", rows as u64)
            .number("startLine", 1)
            .done();
        let result = Object::new().text("type", "text").raw("file", &read).done();
        let line = self.envelope("user").raw("message", &message).raw("toolUseResult", &result);
        line.optional("sourceToolAssistantUUID", asked_by.as_deref()).done()
    }

    fn reply(&mut self) -> Vec<String> {
        let (id, request) = self.begin_message();
        let sentences = 2 + self.pick(6);
        let text = words::paragraph(&mut self.random, sentences);
        let block = Object::new().text("type", "text").text("text", &text).done();
        vec![self.assistant(&id, &request, &block, Some("end_turn"))]
    }

    fn begin_message(&mut self) -> (String, String) {
        self.messages += 1;
        (
            format!("msg_01{}", token(&mut self.random, 22)),
            format!("req_01{}", token(&mut self.random, 22)),
        )
    }

    fn assistant(&mut self, id: &str, request: &str, block: &str, stop: Option<&str>) -> String {
        let usage = Object::new()
            .number("input_tokens", 4)
            .number("cache_creation_input_tokens", self.pick(4000) as u64)
            .number("cache_read_input_tokens", 12_000 + self.pick(90_000) as u64)
            .number("output_tokens", 1 + self.pick(900) as u64)
            .text("service_tier", "standard")
            .done();
        let message = Object::new()
            .text("model", "claude-opus-4-5-20251101")
            .text("id", id)
            .text("type", "message")
            .text("role", "assistant")
            .raw("content", &array(&[block.to_owned()]))
            .optional("stop_reason", stop)
            .raw("stop_sequence", "null")
            .raw("usage", &usage)
            .done();
        self.envelope("assistant").raw("message", &message).text("requestId", request).done()
    }

    fn snapshot(&self, id: &str) -> String {
        let inner = Object::new()
            .text("messageId", id)
            .raw("trackedFileBackups", "{}")
            .text("timestamp", &self.time())
            .done();
        let line = Object::new().text("type", "file-history-snapshot").text("messageId", id);
        line.raw("snapshot", &inner).raw("isSnapshotUpdate", "false").done()
    }

    /// Lines without uuid that the client writes again after each turn.
    fn metadata(&self) -> Vec<String> {
        let prompt = self
            .bare("last-prompt")
            .text("lastPrompt", &self.last_prompt)
            .optional("leafUuid", self.leaf())
            .done();
        let title = format!("Work on {}", self.session.get(..8).unwrap_or(&self.session));
        vec![
            prompt,
            self.bare("ai-title").text("aiTitle", &title).done(),
            self.bare("mode").text("mode", "normal").done(),
        ]
    }

    fn bare(&self, kind: &str) -> Object {
        Object::new().text("type", kind).text("sessionId", &self.session)
    }

    /// Begins a line of the chain, and moves the chain on to it.
    fn envelope(&mut self, kind: &str) -> Object {
        self.now_ms += 200 + self.pick(9000) as i64;
        let id = uuid(&mut self.random);
        let parent = self.parent.replace(id.clone());
        Object::new()
            .optional("parentUuid", parent.as_deref())
            .raw("isSidechain", "false")
            .text("userType", "external")
            .text("cwd", &self.cwd)
            .text("sessionId", &self.session)
            .text("version", VERSION)
            .text("gitBranch", "main")
            .text("type", kind)
            .text("uuid", &id)
            .text("timestamp", &self.time())
    }

    fn time(&self) -> String {
        let time = Timestamp::from_millisecond(self.now_ms)
            .expect("the conversations are of this century");
        format!("{time:.3}")
    }

    fn pick(&mut self, below: usize) -> usize {
        words::pick(&mut self.random, below)
    }
}

/// Returns a random (version 4) UUID.
pub fn uuid(random: &mut SeededRandom) -> String {
    let mut bytes = random.bytes::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

/// Returns `length` characters that do not compress: ids and signatures.
fn token(random: &mut SeededRandom, length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn conversation() -> Conversation {
        Conversation::new(7, Path::new("/home/ada/code/app"))
    }

    fn values(lines: &[String]) -> Vec<Value> {
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_seed_gives_the_same_conversation_again() {
        assert_eq!(conversation().turn(), conversation().turn());
        assert_ne!(
            conversation().turn(),
            Conversation::new(8, Path::new("/home/ada/code/app")).turn()
        );
    }

    #[test]
    fn every_line_is_one_object_and_the_chain_holds() {
        let mut talk = conversation();
        let lines = values(&[talk.turn(), talk.turn(), talk.compaction(), talk.turn()].concat());
        let mut last = Value::Null;
        for line in lines.iter().filter(|line| line["uuid"].is_string()) {
            let begins_anew = line["subtype"] == "compact_boundary";
            assert_eq!(line[if begins_anew { "logicalParentUuid" } else { "parentUuid" }], last);
            last = line["uuid"].clone();
        }
    }

    #[test]
    fn messages_are_prompts_and_distinct_ids() {
        let mut talk = conversation();
        let lines = values(&[talk.turn(), talk.turn()].concat());
        let ids: BTreeSet<&str> =
            lines.iter().filter_map(|line| line["message"]["id"].as_str()).collect();
        let prompts = lines
            .iter()
            .filter(|line| line["type"] == "user" && line["message"]["content"].is_string())
            .count();
        assert_eq!(talk.messages() as usize, ids.len() + prompts);
        assert!(lines.iter().filter(|line| line["type"] == "assistant").count() > ids.len());
    }

    #[test]
    fn a_subagent_lies_in_its_sessions_folder() {
        let mut talk = conversation();
        let [transcript, meta] = talk.subagent();
        assert!(transcript.path.starts_with(&format!("{}/subagents/agent-", talk.session())));
        assert!(meta.path.ends_with(".meta.json"));
        let lines: Vec<String> =
            String::from_utf8(transcript.bytes).unwrap().lines().map(str::to_owned).collect();
        assert!(
            values(&lines)
                .iter()
                .all(|line| line["isSidechain"] == true && line["agentId"].is_string())
        );
    }
}

//! A JSON object whose keys keep their order, as the client's do.

/// An object under construction.
#[derive(Debug, Clone, Default)]
pub struct Object(String);

impl Object {
    /// Begins an empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value that is JSON already.
    #[must_use]
    pub fn raw(mut self, key: &str, json: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&format!("\"{key}\":{json}"));
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, key: &str, text: &str) -> Self {
        let json = serde_json::to_string(text).expect("text is always JSON");
        self.raw(key, &json)
    }

    /// Adds a text, or null.
    #[must_use]
    pub fn optional(self, key: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(key, text),
            None => self.raw(key, "null"),
        }
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, key: &str, number: u64) -> Self {
        self.raw(key, &number.to_string())
    }

    /// Returns the object as compact JSON.
    pub fn done(self) -> String {
        format!("{{{}}}", self.0)
    }
}

/// Returns an array of values that are JSON already.
pub fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

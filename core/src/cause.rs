//! An error with its causes, in one line. Says nothing of what can be done about it.

/// Joins an error and its causes. A cause that the text ends with already is not said again.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    fn said(text: &'static str, cause: Option<Said>) -> Said {
        Said(text, cause.map(Box::new))
    }

    #[test]
    fn causes_follow_in_one_line_and_none_is_said_twice() {
        let deepest = || said("no space left", None);
        assert_eq!(with_causes(&deepest()), "no space left");
        assert_eq!(
            with_causes(&said("save", Some(said("write `a`", Some(deepest()))))),
            "save: write `a`: no space left"
        );
        assert_eq!(
            with_causes(&said("save: no space left", Some(deepest()))),
            "save: no space left"
        );
    }
}

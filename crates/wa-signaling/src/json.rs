//! What both directions need of JSON from the network: a cap on nesting, and
//! fields read with tolerance.

use serde_json::Value;

/// Deepest nesting taken; the deepest documented payload has 9 levels.
pub(crate) const MAX_DEPTH: usize = 32;

/// Why a body is not read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("{0}")]
    Syntax(String),
}

/// Parses `body`; the nesting is checked before anything is built.
pub(crate) fn parse(body: &[u8]) -> Result<Value, JsonError> {
    if is_deeper_than(MAX_DEPTH, body) {
        return Err(JsonError::TooDeep);
    }
    serde_json::from_slice(body).map_err(|error| JsonError::Syntax(error.to_string()))
}

fn is_deeper_than(max: usize, body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            return true;
        }
    }
    false
}

/// The string in `key`; an empty one says nothing and counts as absent.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// The whole number in `key`, written as a number or as a string.
pub(crate) fn number(value: &Value, key: &str) -> Option<u64> {
    match value.get(key)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The elements of the array in `key`; none if it is no array.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The identifier in `key`, written as a string or as a number.
pub(crate) fn id(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(as_id)
}

/// The identifiers or words in the array `key`.
pub(crate) fn ids(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().filter_map(as_id).collect()
}

fn as_id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_capped_before_parsing() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(parse("[".repeat(3_000_000).as_bytes()), Err(JsonError::TooDeep));
    }

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        let body = format!(r#"["\"{}"]"#, "[".repeat(100));
        assert!(parse(body.as_bytes()).is_ok());
    }

    #[test]
    fn fields_are_read_with_tolerance() {
        let value = serde_json::json!({"a": 7, "b": "7", "c": -7, "d": "x", "e": "", "f": [1]});
        assert_eq!(
            ["a", "b", "c", "d", "e", "z"].map(|key| number(&value, key)),
            [Some(7), Some(7), None, None, None, None]
        );
        assert_eq!(["d", "e", "a"].map(|key| text(&value, key)), [Some("x"), None, None]);
        assert_eq!((list(&value, "f").len(), list(&value, "a").len()), (1, 0));
    }
}

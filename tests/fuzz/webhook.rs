//! Bodies of webhooks, rightly signed or not.

use serde_json::Value;
use wa_signaling::Secret;
use wa_signaling::webhook::{payload, signature};

/// The whole is a body. What can be read is read twice alike, has an event for every change, and reads the same when
/// it is written anew, unless a key stood there twice.
pub(crate) fn webhook(data: &[u8]) {
    let secret = Secret::new("fuzz");
    assert!(!signature::verify(&secret, &String::from_utf8_lossy(data), data), "nobody signs by chance");
    let Ok(batch) = payload::read(data) else { return };
    assert_eq!(payload::read(data).as_ref(), Ok(&batch));
    let root: Value = serde_json::from_slice(data).expect("it was read");
    let lists =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let changes = lists(&root, "entry").iter().map(|entry| lists(entry, "changes").len()).sum::<usize>();
    assert!(batch.events.len() >= changes, "{} events of {changes} changes", batch.events.len());
    assert_eq!(payload::read(root.to_string().as_bytes()), Ok(batch));
}

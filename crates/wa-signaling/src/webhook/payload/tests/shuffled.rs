//! Whatever becomes of one part of a batch, the calls of its other parts arrive.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A batch with something of everything; the last change is the call that must not be lost.
fn sample() -> Value {
    let status = status(&json!("RINGING"));
    json!({"object": "whatsapp_business_account", "entry": [
        {"id": "1", "changes": [
            {"field": "calls", "value": user_connect()},
            {"field": "calls", "value": status},
            {"field": "calls", "value": ended(&json!("COMPLETED"))},
            {"field": "messages", "value": {"metadata": {"phone_number_id": "1"}, "messages": [
                {"from": "12015550123", "interactive": {"call_permission_reply": {"response": "accept"}}},
                {"from": "12015550123", "id": WACID, "type": "audio", "audio": {"id": "1"}}]}},
            {"field": "account_update", "value": {"event": "ACCOUNT_RESTRICTION",
                "restriction_info": [{"restriction_type": "X", "expiration": 1}]}},
            {"field": "account_settings_update", "value": {"phone_number_settings":
                {"phone_number_id": "1", "calling": {"status": "ENABLED", "sip": {"status": "ENABLED"}}}}}
        ]},
        {"id": "2", "changes": [{"field": "calls", "value": user_connect()}]}
    ]})
}

/// The paths of all values below this one.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    let mut inner = |key: &str, value: &Value| {
        let path = format!("{path}/{key}");
        paths(value, &path, found);
        found.push(path);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| inner(key, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| inner(&at.to_string(), item)),
        _ => {}
    }
}

/// Cuts a value out, puts another in its place, or has it twice.
fn damage(root: &mut Value, path: &str, by: &Damage) {
    let Some((outer, key)) = path.rsplit_once('/') else { return };
    let Some(outer) = root.pointer_mut(outer) else { return };
    match (outer, by) {
        (Value::Object(fields), Damage::Cut) => drop(fields.remove(key)),
        (Value::Object(fields), Damage::Replace(value)) => drop(fields.insert(key.to_owned(), value.clone())),
        (Value::Object(fields), Damage::Double) => {
            if let Some(value) = fields.get_mut(key) {
                *value = json!([value.clone(), value.clone()]);
            }
        }
        (Value::Array(items), by) => {
            let Some(at) = key.parse().ok().filter(|at| *at < items.len()) else { return };
            match by {
                Damage::Cut => drop(items.remove(at)),
                Damage::Replace(value) => items[at] = value.clone(),
                Damage::Double => items.insert(at, items[at].clone()),
            }
        }
        _ => {}
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Cut,
    Replace(Value),
    Double,
}

fn damages() -> impl Strategy<Value = Damage> {
    let value =
        prop::sample::select(vec![json!(null), json!(7), json!("x"), json!([]), json!({}), json!([[{}]])]);
    prop_oneof![Just(Damage::Cut), Just(Damage::Double), value.prop_map(Damage::Replace)]
}

proptest! {
    #[test]
    fn damage_to_one_part_of_a_batch_loses_no_call_of_another(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damages()), 1..8)
    ) {
        let mut body = sample();
        for (at, by) in &damages {
            // Only within the first entry: the second stays whole.
            let mut found = Vec::new();
            paths(&body["entry"][0], "/entry/0", &mut found);
            if let Some(path) = found.get(at.index(found.len().max(1))) {
                damage(&mut body, path, by);
            }
        }
        let events = parse(body.to_string().as_bytes()).expect("JSON it still is");
        let whole = connect(&user_connect());
        prop_assert_eq!(events.last(), Some(&WebhookEvent::Connect(whole)));
    }
}

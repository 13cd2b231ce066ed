//! Bodies of `POST /{PHONE_NUMBER_ID}/messages`: the request for a call permission.

use serde_json::{Value, json};

use crate::identity::Callee;

/// How a user is asked for the permission to be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PermissionRequest {
    /// A message of one's own words: inside the 24 hours after the user wrote or
    /// called.
    FreeForm {
        /// What the user reads above the buttons.
        body: String,
    },
    /// An approved template with a `call_permission_request` component: at any
    /// time.
    Template {
        /// Its name.
        name: String,
        /// Its language, such as `en_US`.
        language: String,
        /// What fills the placeholders of its body, in their order.
        body: Vec<String>,
    },
}

/// The whole body of the message.
pub(super) fn permission_request(user: &Callee, request: &PermissionRequest) -> Value {
    let mut message = json!({ "messaging_product": "whatsapp", "recipient_type": "individual" });
    let (key, content) = match request {
        PermissionRequest::FreeForm { body } => ("interactive", free_form(body)),
        PermissionRequest::Template { name, language, body } => ("template", template(name, language, body)),
    };
    let (to, user) = match user {
        Callee::Phone(digits) => ("to", digits),
        Callee::Bsuid(id) => ("recipient", id),
    };
    if let Some(fields) = message.as_object_mut() {
        fields.insert(to.into(), user.as_str().into());
        fields.insert("type".into(), key.into());
        fields.insert(key.into(), content);
    }
    message
}

fn free_form(body: &str) -> Value {
    json!({
        "type": "call_permission_request",
        "action": { "name": "call_permission_request" },
        "body": { "text": body },
    })
}

fn template(name: &str, language: &str, body: &[String]) -> Value {
    let parameters: Vec<_> = body.iter().map(|text| json!({ "type": "text", "text": text })).collect();
    let components = match parameters.is_empty() {
        true => json!([]),
        false => json!([{ "type": "body", "parameters": parameters }]),
    };
    json!({ "name": name, "language": { "code": language }, "components": components })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_form_request_names_its_user_by_number() {
        let request = PermissionRequest::FreeForm { body: "May we call about order 7?".into() };
        assert_eq!(
            permission_request(&Callee::Phone("14085550100".into()), &request),
            json!({
                "messaging_product": "whatsapp", "recipient_type": "individual", "to": "14085550100",
                "type": "interactive",
                "interactive": {
                    "type": "call_permission_request",
                    "action": {"name": "call_permission_request"},
                    "body": {"text": "May we call about order 7?"}
                }
            })
        );
    }

    #[test]
    fn a_template_request_names_a_bsuid_as_recipient() {
        let mut request = PermissionRequest::Template {
            name: "may_we_call".into(),
            language: "en_US".into(),
            body: vec![],
        };
        let user = Callee::Bsuid("US.134912".into());
        let body = permission_request(&user, &request);
        assert_eq!(
            body,
            json!({
                "messaging_product": "whatsapp", "recipient_type": "individual", "recipient": "US.134912",
                "type": "template",
                "template": {"name": "may_we_call", "language": {"code": "en_US"}, "components": []}
            })
        );
        if let PermissionRequest::Template { body, .. } = &mut request {
            body.push("order 7".into());
        }
        assert_eq!(
            permission_request(&user, &request)["template"]["components"],
            json!([{"type": "body", "parameters": [{"type": "text", "text": "order 7"}]}])
        );
    }
}

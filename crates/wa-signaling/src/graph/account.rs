//! What Graph tells of tokens, numbers, and which app hears of which WABA.

use serde_json::Value;

use crate::json;

/// What a token is worth (`/debug_token`).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TokenInfo {
    /// Whether it works.
    pub valid: bool,
    /// The app it was made for.
    pub app_id: Option<String>,
    /// When it ends, in seconds since 1970; none: never.
    pub expires: Option<u64>,
    /// When its access to data ends, in seconds since 1970; none: never.
    pub data_access_expires: Option<u64>,
    /// What it may do, such as `whatsapp_business_messaging`.
    pub scopes: Vec<String>,
    /// The scopes that are given for some assets only, with the ids of these.
    pub granular: Vec<(String, Vec<String>)>,
    /// Why it does not work.
    pub error: Option<String>,
}

impl TokenInfo {
    pub(super) fn read(value: &Value) -> Self {
        let data = value.get("data").unwrap_or(value);
        // Graph writes 0 for "never".
        let time = |key| json::number(data, key).filter(|time| *time != 0);
        let granular = json::list(data, "granular_scopes").iter().filter_map(|scope| {
            Some((json::text(scope, "scope")?.to_owned(), json::ids(scope, "target_ids")))
        });
        Self {
            valid: data.get("is_valid").and_then(Value::as_bool).unwrap_or(false),
            app_id: json::id(data, "app_id"),
            expires: time("expires_at"),
            data_access_expires: time("data_access_expires_at"),
            scopes: json::ids(data, "scopes"),
            granular: granular.collect(),
            error: data.get("error").and_then(|error| json::text(error, "message")).map(str::to_owned),
        }
    }
}

/// A business number as Graph knows it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NumberInfo {
    /// As it is shown, such as `+1 408-555-0100`.
    pub display: Option<String>,
    /// The business's name.
    pub verified_name: Option<String>,
    /// Such as `CONNECTED`.
    pub status: Option<String>,
    /// Such as `GREEN`.
    pub quality: Option<String>,
    /// Such as `CLOUD_API`.
    pub platform: Option<String>,
    /// Such as `TIER_2K`: calling needs 2000 conversations a day.
    pub messaging_limit: Option<String>,
}

/// The fields asked for, as Graph names them.
pub(super) const NUMBER_FIELDS: &str =
    "display_phone_number,verified_name,status,quality_rating,platform_type,messaging_limit_tier";

impl NumberInfo {
    pub(super) fn read(value: &Value) -> Self {
        let text = |key| json::text(value, key).map(str::to_owned);
        Self {
            display: text("display_phone_number"),
            verified_name: text("verified_name"),
            status: text("status"),
            quality: text("quality_rating"),
            platform: text("platform_type"),
            messaging_limit: text("messaging_limit_tier"),
        }
    }
}

/// An app that hears of a WABA's events.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SubscribedApp {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// The URL that replaces the app's for this WABA.
    pub override_url: Option<String>,
}

impl SubscribedApp {
    pub(super) fn read_all(value: &Value) -> Vec<Self> {
        let app = |entry: &Value| {
            let app = entry.get("whatsapp_business_api_data")?;
            Some(Self {
                id: json::id(app, "id")?,
                name: json::text(app, "name").map(str::to_owned),
                override_url: json::text(entry, "override_callback_uri").map(str::to_owned),
            })
        };
        json::list(value, "data").iter().filter_map(app).collect()
    }
}

/// What an app hears of, and where.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Subscription {
    /// Such as `whatsapp_business_account`.
    pub object: String,
    /// Where its webhooks go.
    pub callback_url: Option<String>,
    /// Whether they are sent.
    pub active: bool,
    /// The fields, such as `calls` and `messages`.
    pub fields: Vec<String>,
}

impl Subscription {
    pub(super) fn read_all(value: &Value) -> Vec<Self> {
        let subscription = |entry: &Value| {
            Some(Self {
                object: json::text(entry, "object")?.to_owned(),
                callback_url: json::text(entry, "callback_url").map(str::to_owned),
                active: entry.get("active").and_then(Value::as_bool).unwrap_or(false),
                fields: fields(entry),
            })
        };
        json::list(value, "data").iter().filter_map(subscription).collect()
    }
}

/// Newer versions give objects with a name, older ones names.
fn fields(entry: &Value) -> Vec<String> {
    let name = |field: &Value| field.as_str().or_else(|| json::text(field, "name")).map(str::to_owned);
    json::list(entry, "fields").iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_that_never_ends() {
        let info = TokenInfo::read(&json!({"data": {
            "app_id": "600100", "type": "SYSTEM_USER", "is_valid": true, "expires_at": 0,
            "data_access_expires_at": 0, "scopes": ["whatsapp_business_management", "whatsapp_business_messaging"],
            "granular_scopes": [{"scope": "whatsapp_business_messaging", "target_ids": ["7001"]}, {"scope": "email"}]
        }}));
        assert!(info.valid && info.error.is_none());
        assert_eq!(
            (info.app_id.as_deref(), info.expires, info.data_access_expires),
            (Some("600100"), None, None)
        );
        assert_eq!(info.scopes, ["whatsapp_business_management", "whatsapp_business_messaging"]);
        assert_eq!(
            info.granular,
            [
                ("whatsapp_business_messaging".to_owned(), vec!["7001".to_owned()]),
                ("email".to_owned(), vec![])
            ]
        );
    }

    #[test]
    fn a_token_that_has_ended_says_why() {
        let info = TokenInfo::read(&json!({"data": {
            "app_id": 600_100, "is_valid": false, "expires_at": 1_700_000_000,
            "error": {"code": 190, "message": "Session has expired", "subcode": 463}, "scopes": []
        }}));
        assert!(!info.valid);
        assert_eq!(info.expires, Some(1_700_000_000));
        assert_eq!(info.error.as_deref(), Some("Session has expired"));
        assert_eq!(info.app_id.as_deref(), Some("600100"));
    }

    #[test]
    fn what_says_nothing_is_no_valid_token() {
        assert_eq!(TokenInfo::read(&json!({})), TokenInfo::default());
        assert_eq!(TokenInfo::read(&json!({"data": []})), TokenInfo::default());
    }

    #[test]
    fn a_number_with_the_fields_that_came() {
        let info = NumberInfo::read(&json!({
            "display_phone_number": "+1 408-555-0100", "verified_name": "Desk", "quality_rating": "GREEN", "id": "1"
        }));
        assert_eq!(info.display.as_deref(), Some("+1 408-555-0100"));
        assert_eq!((info.status, info.quality.as_deref()), (None, Some("GREEN")));
    }

    #[test]
    fn subscribed_apps_and_their_own_urls() {
        let apps = SubscribedApp::read_all(&json!({"data": [
            {"whatsapp_business_api_data": {"id": "600100", "name": "Bridge", "link": "https://example.com"}},
            {"whatsapp_business_api_data": {"id": "600200"}, "override_callback_uri": "https://example.org/hook"},
            {"unknown": 1}
        ]}));
        assert_eq!(apps.len(), 2);
        assert_eq!((apps[0].id.as_str(), apps[0].name.as_deref()), ("600100", Some("Bridge")));
        assert_eq!(apps[1].override_url.as_deref(), Some("https://example.org/hook"));
        assert!(SubscribedApp::read_all(&json!({"data": []})).is_empty());
    }

    #[test]
    fn subscriptions_in_both_forms() {
        let subscriptions = Subscription::read_all(&json!({"data": [
            {"object": "whatsapp_business_account", "callback_url": "https://example.com/hook", "active": true,
             "fields": [{"name": "calls", "version": "v25.0"}, "messages", {"version": "v1"}]},
            {"object": "page"}
        ]}));
        assert_eq!(subscriptions[0].fields, ["calls", "messages"]);
        assert!(subscriptions[0].active && !subscriptions[1].active);
    }
}

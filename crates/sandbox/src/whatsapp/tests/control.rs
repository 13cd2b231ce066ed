//! The control API, as a test in another language would use it.

use reqwest::Method;
use serde_json::{Value, json};

use super::peer::{Bridge, Leg, NUMBER, code, connect_request};

struct Remote {
    bridge: Bridge,
    http: reqwest::Client,
    url: String,
}

impl Remote {
    async fn start() -> Self {
        let bridge = Bridge::start(|config| config.control = Some("127.0.0.1:0".parse().unwrap())).await;
        let url = format!("http://{}", bridge.whatsapp.control_addr().unwrap());
        Self { bridge, http: reqwest::Client::builder().no_proxy().build().unwrap(), url }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, reply) = self.send(Method::POST, path, Some(body)).await;
        assert_eq!(status, 200, "{path}: {reply}");
        reply
    }

    async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await.1
    }
}

#[tokio::test]
async fn a_user_calls_and_a_called_one_answers_by_http() {
    let mut remote = Remote::start().await;
    let bsuid = "DE.AbC123";
    let call =
        json!({ "from": "4915550001", "bsuid": bsuid, "deeplink_payload": "shop", "username": "@ada" });
    let wacid = remote.post("/calls", call).await["wacid"].as_str().unwrap().to_owned();
    let hook = remote.bridge.hook("connect").await;
    assert_eq!(
        (&hook.call()["from_user_id"], &hook.call()["deeplink_payload"]),
        (&json!(bsuid), &json!("shop"))
    );
    assert_eq!(hook.value()["contacts"][0]["profile"]["username"], "@ada");
    assert_eq!(remote.get("/calls").await[0]["state"], "Started");
    remote.post("/calls/hang_up", json!({ "wacid": wacid })).await;
    remote.bridge.hook("terminate").await;
    assert_eq!(remote.get("/calls").await[0]["end"]["by"], "User");
    remote.post("/numbers", json!({ "number": "4915550002", "pickup": "by_hand", "setup": "passive" })).await;
    let offer = Leg::new(remote.bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    assert_eq!(remote.bridge.graph(connect_request("4915550002", &offer)).await.0, 200);
    assert!(remote.bridge.hook("connect").await.sdp().contains("a=setup:passive"));
    remote.bridge.hook("RINGING").await;
    assert_eq!(remote.post("/calls/answer", json!({ "user": "4915550002" })).await["answered"], false);
    remote.bridge.hook("ACCEPTED").await;
    let requests = remote.get("/requests").await;
    assert_eq!((&requests[0]["operation"], &requests[0]["status"]), (&json!("connect"), &json!(200)));
    assert_eq!(remote.get("/webhooks").await[0]["what"], "connect (offer)");
}

#[tokio::test]
async fn faults_tokens_settings_permissions_and_the_clock_by_http() {
    let mut remote = Remote::start().await;
    let settings = format!("{NUMBER}/settings");
    remote
        .post(
            "/faults",
            json!({ "operation": "settings", "fault": "error", "code": 4, "retry_after": 9, "times": 2 }),
        )
        .await;
    assert_eq!(code(&remote.bridge.get(&settings).await), (400, 4));
    assert_eq!(remote.send(Method::DELETE, "/faults", None).await.0, 200);
    assert_eq!(remote.bridge.get(&settings).await.0, 200);
    remote.post("/token", json!({ "token": "new", "expires_in_s": 60 })).await;
    assert_eq!(code(&remote.bridge.get(&settings).await), (401, 190));
    assert_eq!(remote.bridge.get_with(&settings, "new").await.0, 200);
    assert_eq!(remote.post("/clock", json!({ "advance_s": 61 })).await["ahead_s"], 61.0);
    assert_eq!(code(&remote.bridge.get_with(&settings, "new").await), (401, 190));
    let set = json!({ "set": { "status": "DISABLED" }, "low_limit": true });
    assert_eq!(remote.post("/settings", set).await["status"], "DISABLED");
    remote.post("/permissions", json!({ "enforced": true, "shape": "openapi" })).await;
    remote.post("/permissions/decide", json!({ "user": "4915550001", "answer": "permanent" })).await;
    remote.bridge.hook("call_permission_reply").await;
    assert_eq!(remote.get("/permissions?user=4915550001").await["permission"]["status"], "granted");
    remote.post("/webhook_faults", json!({ "what": "message", "fault": "repeated", "copies": 3 })).await;
    let chat = json!({ "event": "chat", "from": "4915550001", "text": "hi" });
    assert_eq!(remote.post("/events", chat).await["sent"], true);
    for _ in 0..3 {
        remote.bridge.hook("text").await;
    }
    assert_eq!(remote.post("/verify", json!({})).await["done"], true);
    let subscriptions = remote.post("/subscriptions", json!({ "apps": [] })).await;
    assert_eq!(subscriptions["apps"], json!([]));
}

#[tokio::test]
async fn mistakes_are_told() {
    let remote = Remote::start().await;
    for (path, body, why) in [
        ("/faults", json!({ "operation": "dance", "fault": "hang" }), "operation must be one of connect"),
        ("/faults", json!({ "operation": "connect", "fault": "rain" }), "fault must be one of error"),
        ("/faults", json!({ "operation": "connect", "fault": "error" }), "code is missing"),
        ("/calls", json!({ "from": 7 }), "from must be a string"),
        ("/webhook_faults", json!({ "reorder": [1, 2] }), "permutation"),
        ("/clock", json!({ "advance_s": -1 }), "number of seconds"),
        ("/calls", json!([]), "a JSON object is expected"),
    ] {
        let (status, reply) = remote.send(Method::POST, path, Some(body)).await;
        assert_eq!(status, 400, "{reply}");
        assert!(reply["error"].as_str().unwrap().contains(why), "{reply}");
    }
    for (method, path) in [(Method::GET, "/x"), (Method::POST, "/x"), (Method::DELETE, "/calls")] {
        assert_eq!(remote.send(method, path, Some(json!({}))).await.0, 404);
    }
    assert_eq!(remote.send(Method::POST, "/calls/answer", Some(json!({ "wacid": "x" }))).await.0, 404);
}

//! Challenges and their answers.

use sip_core::auth::{Algorithm, Credentials, Protected, Secret, authorization, challenges};

/// What is read of WWW-Authenticate and Authorization is written so that it reads the same again, and the answer to any
/// challenge is one that the password gives.
pub(crate) fn digest(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let password = Secret::new("password");
    let with = Credentials { user: "user".to_owned(), password: password.clone() };
    let request = Protected { method: "INVITE", uri: "sip:200@192.0.2.1", body: b"v=0\r\n" };
    for challenge in challenges(&text) {
        let again = challenges(&challenge.to_string());
        assert_eq!(again, std::slice::from_ref(&challenge), "{challenge}");
        let answer = challenge.answer(&with, request, 1, "cnonce");
        assert_eq!(authorization(&answer.to_string()).as_ref(), Some(&answer), "{answer}");
        assert!(answer.is_by(&password, request.method, request.body));
        let length = if answer.algorithm == Algorithm::Md5 { 32 } else { 64 };
        assert_eq!(answer.response.len(), length);
    }
    if let Some(answer) = authorization(&text) {
        assert_eq!(authorization(&answer.to_string()).as_ref(), Some(&answer), "{answer}");
        let _ = answer.is_by(&password, "INVITE", data);
    }
}

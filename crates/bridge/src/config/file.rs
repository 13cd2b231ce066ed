//! Files that must be there: certificates and keys. This is IO.

use std::fs;
use std::path::Path;

/// Largest file looked at, in bytes; a bundle of all authorities has some 200 thousand.
const MAX_LEN: u64 = 4 * 1024 * 1024;

/// That a file can be read and holds this kind of PEM, such as `CERTIFICATE` or `PRIVATE KEY`. What it
/// holds is never repeated.
pub(super) fn check_pem(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    let unreadable = |error| format!("{shown} cannot be read: {error}");
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > MAX_LEN {
        return Err(format!("{shown} is no file of at most {MAX_LEN} bytes"));
    }
    let text = fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&text);
    let mut kinds =
        text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    match kinds.find(|found| found.ends_with(kind)) {
        Some("ENCRYPTED PRIVATE KEY") => Err(format!(
            "{shown} holds an encrypted key, and there is nobody to ask for its password: decrypt it with openssl pkey"
        )),
        Some(_) => Ok(()),
        None => Err(format!("{shown} holds no {kind} in PEM (a line that reads -----BEGIN {kind}-----)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_must_hold_what_it_is_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file.pem");
        let check = |text: &str, kind| {
            fs::write(&path, text).expect("written");
            check_pem(&path, kind).map_err(|message| message.replace(&path.display().to_string(), "F"))
        };
        let pem = |kind: &str| format!("about it\n-----BEGIN {kind}-----\nc2VjcmV0\n-----END {kind}-----\n");
        assert_eq!(check(&pem("CERTIFICATE"), "CERTIFICATE"), Ok(()));
        for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            assert_eq!(check(&pem(kind), "PRIVATE KEY"), Ok(()), "{kind}");
        }
        let wrong = check(&pem("PRIVATE KEY"), "CERTIFICATE").expect_err("a key is no certificate");
        assert!(wrong.starts_with("F holds no CERTIFICATE in PEM") && !wrong.contains("c2Vj"), "{wrong}");
        let encrypted = check(&pem("ENCRYPTED PRIVATE KEY"), "PRIVATE KEY").expect_err("encrypted");
        assert!(encrypted.contains("openssl pkey"), "{encrypted}");
        assert!(check_pem(folder.path(), "CERTIFICATE").is_err());
        assert!(check_pem(&folder.path().join("none"), "CERTIFICATE").is_err());
    }
}

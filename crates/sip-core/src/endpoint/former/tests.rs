//! Records in virtual time.

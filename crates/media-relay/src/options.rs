//! What may differ from call to call.

/// What the owner of a call chooses for its audio path.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {}

//! The integration tests: one binary, because each extra one links the client libraries again.

mod kubernetes;

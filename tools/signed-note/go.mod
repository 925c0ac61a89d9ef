module portcullis.dev/tools/signed-note

go 1.26.0

require golang.org/x/mod v0.32.0

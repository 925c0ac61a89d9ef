module portcullis.dev/tools/json-patch

go 1.26.0

// As k8s.io/apiserver v0.36.3 requires it.
require gopkg.in/evanphx/json-patch.v4 v4.13.0

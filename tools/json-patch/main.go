// Command json-patch applies JSON Patches as the API server applies those of a mutating webhook
// (callAttrMutatingHook in k8s.io/apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go): the same library,
// version and call. It reads lines of {"document": …, "patch": […]} and answers each with the patched document, byte for
// byte as the library left it, or with {"error": "…"}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

func main() {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return
		}
		if err != nil && err != io.EOF {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		patched, err := apply(line)
		if err != nil {
			patched, _ = json.Marshal(map[string]string{"error": err.Error()})
		}
		fmt.Printf("%s\n", patched)
	}
}

func apply(line []byte) ([]byte, error) {
	// A RawMessage holds the bytes as they came.
	var asked struct{ Document, Patch json.RawMessage }
	if err := json.Unmarshal(line, &asked); err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(asked.Patch)
	if err != nil {
		return nil, err
	}
	return patch.Apply(asked.Document)
}

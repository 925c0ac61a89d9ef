// Command image-reference says how the OCI distribution project takes image references apart, as kubelets and Docker do:
// it reads JSON strings, one a line, and answers each with {"domain", "path", "tag", "digest"} or with {"error": "…"}.
package main

import (
	"bufio"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/distribution/reference"
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
		answer, _ := json.Marshal(parse(line))
		fmt.Printf("%s\n", answer)
	}
}

func parse(line []byte) map[string]string {
	var text string
	if err := json.Unmarshal(line, &text); err != nil {
		return map[string]string{"error": err.Error()}
	}
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	parts := map[string]string{"domain": reference.Domain(named), "path": reference.Path(named)}
	if tagged, ok := named.(reference.Tagged); ok {
		parts["tag"] = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		parts["digest"] = digested.Digest().String()
	}
	return parts
}

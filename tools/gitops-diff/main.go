// Compares objects as Argo CD does, with its own library: a line of standard input is {"config": …, "live": …}, the object in the
// repository and the one in the cluster. A line of standard output says if they differ, and how.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	"github.com/argoproj/gitops-engine/pkg/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Config map[string]any `json:"config"`
	Live   map[string]any `json:"live"`
}

type answer struct {
	Modified  bool            `json:"modified"`
	Live      json.RawMessage `json:"live,omitempty"`
	Predicted json.RawMessage `json:"predicted,omitempty"`
	Error     string          `json:"error,omitempty"`
}

func compare(line []byte) (answer, error) {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return answer{}, err
	}
	config, live := &unstructured.Unstructured{Object: asked.Config}, &unstructured.Unstructured{Object: asked.Live}
	result, err := diff.Diff(config, live)
	if err != nil {
		return answer{}, err
	}
	return answer{Modified: result.Modified, Live: result.NormalizedLive, Predicted: result.PredictedLive}, nil
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		said, err := compare(line)
		if err != nil {
			said.Error = err.Error()
		}
		if err := answers.Encode(said); err != nil {
			log.Fatal(err)
		}
	}
}

// Command signed-note opens notes of https://c2sp.org/signed-note with the library that Go itself opens those of its
// checksum database with. The verifier keys are its arguments; it reads lines of {"note": "…"} and answers each with
// {"text": "…", "signatures": n}, or with {"error": "…"}.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/note"
)

type answer struct {
	Text       string `json:"text,omitempty"`
	Signatures int    `json:"signatures,omitempty"`
	Error      string `json:"error,omitempty"`
}

func main() {
	var keys []note.Verifier
	for _, text := range os.Args[1:] {
		key, err := note.NewVerifier(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		keys = append(keys, key)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var asked struct{ Note string }
		if err := in.Decode(&asked); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		opened, err := note.Open([]byte(asked.Note), note.VerifierList(keys...))
		if err != nil {
			out.Encode(answer{Error: err.Error()})
			continue
		}
		out.Encode(answer{Text: opened.Text, Signatures: len(opened.Sigs)})
	}
}

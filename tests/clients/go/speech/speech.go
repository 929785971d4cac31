// Package speech is how a program says what happened, and when it is told to end.
package speech

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Event is one thing that happened, beside its name.
type Event map[string]any

// Say writes one line of JSON.
func Say(name string, event Event) {
	if event == nil {
		event = Event{}
	}
	event["event"] = name
	line, err := json.Marshal(event)
	Must(err)
	fmt.Println(string(line))
}

// Must ends the program when something went wrong.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Arguments are the named arguments of a job.
type Arguments map[string]string

// Number is an argument that is a number.
func (arguments Arguments) Number(name string) int {
	number, err := strconv.Atoi(arguments[name])
	Must(err)
	return number
}

// List is an argument with commas between its parts.
func (arguments Arguments) List(name string) []string {
	return strings.Split(arguments[name], ",")
}

// Run runs the job that the command line names.
func Run(jobs map[string]func(Arguments)) {
	arguments := Arguments{}
	for _, argument := range os.Args[2:] {
		name, value, _ := strings.Cut(argument, "=")
		arguments[name] = value
	}
	jobs[os.Args[1]](arguments)
}

// UntilInputEnds is a context that ends with the standard input: a member shall leave.
func UntilInputEnds() context.Context {
	ended, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ended
}

// A Transaction of the job transact: what its values are called, and whether it is committed.
type Transaction struct {
	Name string
	Kept bool
}

// Transactions are those of the job transact.
var Transactions = []Transaction{{"kept", true}, {"dropped", false}, {"last", true}}

// How names the end of a transaction.
func How(kept bool) string {
	if kept {
		return "commit"
	}
	return "abort"
}

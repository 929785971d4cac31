// One kfake broker per listed port, until standard input ends: a peer of chronik-bench.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		fmt.Fprintln(os.Stderr, "kfake:", err)
		os.Exit(1)
	}
	defer cluster.Close()
	// The line that chronik-bench waits for from every server under test.
	fmt.Printf("ready address=%s\n", cluster.ListenAddrs()[0])
	io.Copy(io.Discard, os.Stdin)
}

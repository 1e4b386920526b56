// The process that holds the namespaces of a pod: it waits until it is told to end.
package main

import (
	"context"
	"os/signal"
	"syscall"
)

func main() {
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	<-told.Done()
}

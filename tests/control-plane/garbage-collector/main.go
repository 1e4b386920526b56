// The garbage collector of kube-controller-manager alone, for the API server of the variable KUBECONFIG: whoever deletes in the
// foreground, as Argo CD does, waits for it. The whole kube-controller-manager would need 200 modules more.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
)

// How often it looks for new kinds.
const period = 5 * time.Second

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		log.Fatal(err)
	}
	config.QPS, config.Burst = 100, 200
	client, metadataClient := kubernetes.NewForConfigOrDie(config), metadata.NewForConfigOrDie(config)
	ctx := context.Background()
	informers := informerfactory.NewInformerFactory(
		informers.NewSharedInformerFactory(client, 0),
		metadatainformer.NewSharedInformerFactory(metadataClient, 0),
	)
	started := make(chan struct{})
	collector, err := garbagecollector.NewGarbageCollector(
		ctx,
		client,
		metadataClient,
		restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery())),
		garbagecollector.DefaultIgnoredResources(),
		informers,
		started,
	)
	if err != nil {
		log.Fatal(err)
	}
	informers.Start(ctx.Done())
	close(started)
	go collector.Sync(ctx, client.Discovery(), period)
	collector.Run(ctx, 2, period)
}

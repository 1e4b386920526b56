// A forward proxy on a free loopback port, which it prints. It opens tunnels for whoever shows the credentials in the
// variable PROXY_CREDENTIALS (USER:PASSWORD), for everybody if it is not set, and logs their hosts.
package main

import (
	"encoding/base64"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/elazarl/goproxy"
)

func main() {
	proxy := goproxy.NewProxyHttpServer()
	wanted := os.Getenv("PROXY_CREDENTIALS")
	admit := func(host string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		shown := ctx.Req.Header.Get("Proxy-Authorization")
		if wanted != "" && shown != "Basic "+base64.StdEncoding.EncodeToString([]byte(wanted)) {
			ctx.Resp = &http.Response{
				StatusCode: http.StatusProxyAuthRequired,
				ProtoMajor: 1,
				ProtoMinor: 1,
				Request:    ctx.Req,
				Header:     http.Header{"Proxy-Authenticate": {`Basic realm="tests"`}},
			}
			log.Printf("refused %s", host)
			return goproxy.RejectConnect, host
		}
		log.Printf("tunnel to %s", host)
		return goproxy.OkConnect, host
	}
	proxy.OnRequest().HandleConnect(goproxy.FuncHttpsHandler(admit))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, proxy))
}

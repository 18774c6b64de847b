// Command controlplane holds etcd, kube-apiserver, kube-controller-manager and kubectl in one program and picks one by
// the name it is called by. Each runs in a process of its own: their signal handler can be set up once a process only.
// The versions are those of go.mod, pinned by go.sum. It serves tests; etcd does not fsync here.
package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kas "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// etcd runs one member. It listens for clients on the given URL and for peers, of which there are none, on a free port.
func etcd() *cobra.Command {
	var dir, client string
	c := &cobra.Command{Use: "etcd", RunE: func(*cobra.Command, []string) error {
		clientURL, err := url.Parse(client)
		if err != nil {
			return err
		}
		peerURL := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
		cfg := embed.NewConfig()
		cfg.Dir, cfg.Logger, cfg.LogLevel, cfg.UnsafeNoFsync = dir, "zap", "error", true
		cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
		cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peerURL}, []url.URL{peerURL}
		cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
		e, err := embed.StartEtcd(cfg)
		if err != nil {
			return err
		}
		<-e.Server.ReadyNotify()
		return <-e.Err()
	}}
	c.Flags().StringVar(&dir, "data-dir", "", "folder of the data")
	c.Flags().StringVar(&client, "listen-client-urls", "", "URL to serve clients on")
	return c
}

func main() {
	var cmd *cobra.Command
	switch filepath.Base(os.Args[0]) {
	case "kube-apiserver":
		cmd = kas.NewAPIServerCommand()
	case "kube-controller-manager":
		cmd = kcm.NewControllerManagerCommand()
	case "kubectl":
		cmd = kubectl.NewDefaultKubectlCommand()
	case "etcd":
		cmd = etcd()
	default:
		fmt.Fprintln(os.Stderr, "call me as kube-apiserver, kube-controller-manager, etcd or kubectl")
		os.Exit(2)
	}
	os.Exit(cli.Run(cmd))
}

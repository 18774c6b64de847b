// Command kubelet holds kubelet, kube-proxy and kube-scheduler in one program and picks one by the name it is called by:
// what a node has beside the control plane. It is a program of its own, because its build takes minutes that only those
// who want a real node should wait. The versions are those of go.mod, pinned by go.sum, and equal the control plane's.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	var cmd *cobra.Command
	switch filepath.Base(os.Args[0]) {
	case "kubelet":
		cmd = kubelet.NewKubeletCommand(context.Background())
	case "kube-proxy":
		cmd = proxy.NewProxyCommand()
	case "kube-scheduler":
		cmd = scheduler.NewSchedulerCommand()
	default:
		fmt.Fprintln(os.Stderr, "call me as kubelet, kube-proxy or kube-scheduler")
		os.Exit(2)
	}
	os.Exit(cli.Run(cmd))
}

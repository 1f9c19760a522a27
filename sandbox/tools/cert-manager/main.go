// Command cert-manager runs cert-manager's own controllers, CA injector and webhook.
//
// cert-manager's commands are modules of their own that no proxy serves: what they are made of is in its main module.
// This program puts that together, without ACME, Vault and Venafi, which reach out of the cluster, and listens on
// loopback where it can. Its module's path begins with cert-manager's, as those of the commands do, since the webhook is
// internal to it.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	admissionreg "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	apireg "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	config "github.com/cert-manager/cert-manager/internal/apis/config/webhook"
	"github.com/cert-manager/cert-manager/internal/webhook"
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/metrics"
	"github.com/cert-manager/cert-manager/pkg/webhook/server"
)

const (
	workers     = 5
	graceful    = 5 * time.Second
	headerLimit = 10 * time.Second
	leaf        = 7 * 24 * time.Hour
)

func main() {
	namespace := flag.String("namespace", "cert-manager", "where cert-manager is installed")
	health := flag.String("health", "", "`address` that answers 200 at /readyz once all is started")
	port := flag.Int("port", 0, "`port` of the webhook")
	caSecret := flag.String("ca-secret", "cert-manager-webhook-ca", "`Secret` with the webhook's authority")
	names := flag.String("dns-names", "", "`names` of the webhook, with commas")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := klog.NewKlogr()
	ctrl.SetLogger(log)
	ctx = klog.NewContext(ctx, log)

	var err error
	switch part := flag.Arg(0); part {
	case "controller":
		err = runController(ctx, *namespace, *health)
	case "cainjector":
		err = runInjector(ctx, *health)
	case "webhook":
		err = runWebhook(ctx, *namespace, *caSecret, strings.Split(*names, ","), *port, *health)
	default:
		err = fmt.Errorf("no part %q: controller, cainjector or webhook", part)
	}
	if err != nil {
		log.Error(err, "ended")
		os.Exit(1)
	}
}

func runController(ctx context.Context, namespace, health string) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         os.Getenv("KUBECONFIG"),
		KubernetesAPIQPS:   50,
		KubernetesAPIBurst: 100,
		Clock:              clock.RealClock{},
		Metrics:            metrics.New(klog.FromContext(ctx), clock.RealClock{}),
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: namespace},
		CertificateOptions: controller.CertificateOptions{CopiedAnnotationPrefixes: []string{"*", "-kubectl.kubernetes.io/"}},
		IngressShimOptions: controller.IngressShimOptions{
			DefaultIssuerKind: "Issuer", DefaultIssuerGroup: "cert-manager.io",
		},
	})
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	ended := make(chan error, len(controller.Known()))
	for name, build := range controller.Known() {
		one, err := build(factory)
		if err != nil {
			return fmt.Errorf("controller %s: %w", name, err)
		}
		go func() { ended <- one.Run(workers, ctx) }()
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	go func() { ended <- answerReady(ctx, health, always) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

func runInjector(ctx context.Context, health string) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		cmapi.AddToScheme, corev1.AddToScheme, admissionreg.AddToScheme, apiext.AddToScheme, apireg.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	rest, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(rest, ctrl.Options{
		Scheme:  scheme,
		Metrics: metricsserver.Options{BindAddress: "0"},
		// Secrets are watched by their metadata only, and read when they are needed.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
	})
	if err != nil {
		return err
	}
	err = cainjector.RegisterAllInjectors(ctx, manager, cainjector.SetupOptions{
		EnableCertificatesDataSource: true,
		EnabledReconcilersFor: map[string]bool{
			cainjector.MutatingWebhookConfigurationName:   true,
			cainjector.ValidatingWebhookConfigurationName: true,
			cainjector.APIServiceName:                     true,
			cainjector.CustomResourceDefinitionName:       true,
		},
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- answerReady(ctx, health, always) }()
	go func() { ended <- manager.Start(ctx) }()
	return <-ended
}

func runWebhook(ctx context.Context, namespace, secret string, names []string, port int, health string) error {
	options := config.WebhookConfiguration{
		KubeConfig:           os.Getenv("KUBECONFIG"),
		SecurePort:           int32(port),
		MetricsListenAddress: "0",
	}
	options.TLSConfig.Dynamic.SecretNamespace = namespace
	options.TLSConfig.Dynamic.SecretName = secret
	options.TLSConfig.Dynamic.DNSNames = names
	options.TLSConfig.Dynamic.LeafDuration = leaf
	// Its own answers about its health would be on every address.
	quiet := func(s *server.Server) { s.HealthzAddr = nil }
	hook, err := webhook.NewCertManagerWebhookServer(klog.FromContext(ctx), options, quiet)
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- answerReady(ctx, health, hook.CertificateSource.Healthy) }()
	go func() { ended <- hook.Run(ctx) }()
	return <-ended
}

func always() bool { return true }

func answerReady(ctx context.Context, address string, healthy func() bool) error {
	ready := http.NewServeMux()
	ready.HandleFunc("/readyz", func(answer http.ResponseWriter, _ *http.Request) {
		if !healthy() {
			answer.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Addr: address, Handler: ready, ReadHeaderTimeout: headerLimit}
	go func() {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.Background(), graceful)
		defer cancel()
		_ = server.Shutdown(last)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// Command storage is the object stores that the tests start: the name that it is called by says which.
//
//	s3-server HOST:PORT FOLDER    versitygw, with its files in a folder and its root account from the environment
//	gcs-server HOST:PORT FOLDER   fake-gcs-server, with its files in a folder, for one bearer token alone
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	programs := map[string]func(address, folder string) error{"s3-server": serveS3, "gcs-server": serveGCS}
	serve, known := programs[filepath.Base(os.Args[0])]
	if !known || len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "call this program as s3-server or gcs-server, with HOST:PORT and FOLDER")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveS3(address, folder string) error {
	root, side := filepath.Join(folder, "objects"), filepath.Join(folder, "attributes")
	for _, one := range []string{root, side} {
		if err := os.MkdirAll(one, 0o700); err != nil {
			return err
		}
	}
	sidecar, err := meta.NewSideCar(side)
	if err != nil {
		return err
	}
	backend, err := posix.New(root, sidecar, posix.PosixOpts{SideCarDir: side})
	if err != nil {
		return err
	}
	context, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return embedgw.RunVersityGW(context, backend, &embedgw.Config{
		RootUserAccess:    os.Getenv("ROOT_ACCESS_KEY"),
		RootUserSecret:    os.Getenv("ROOT_SECRET_KEY"),
		Ports:             []string{address},
		MaxConnections:    4096,
		MaxRequests:       4096,
		MultipartMaxParts: 10000,
		KeepAlive:         true,
		Quiet:             true,
		HealthPath:        "/healthz",
	})
}

func serveGCS(address, folder string) error {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		StorageRoot: folder,
		Scheme:      "http",
		PublicHost:  address,
		ExternalURL: "http://" + address,
		NoListener:  true,
	})
	if err != nil {
		return err
	}
	return http.ListenAndServe(address, &xmlAPI{inner: server.HTTPHandler(), token: os.Getenv("GCS_TOKEN")})
}

// xmlAPI adds what fake-gcs-server lacks of the XML API: identities, answers for buckets that are not there, and
// uploads that are not signed in their query.
type xmlAPI struct {
	inner http.Handler
	token string
}

func (x *xmlAPI) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	path := request.URL.EscapedPath()
	if strings.HasPrefix(path, "/_internal/") || strings.HasPrefix(path, "/storage/") {
		x.inner.ServeHTTP(answer, request)
		return
	}
	if request.Header.Get("Authorization") != "Bearer "+x.token {
		refuse(answer, http.StatusUnauthorized, "AuthenticationRequired")
		return
	}
	if !x.hasBucket(path) {
		refuse(answer, http.StatusNotFound, "NoSuchBucket")
		return
	}
	if request.Method == http.MethodPut && request.URL.RawQuery == "" {
		answer.Header().Set("ETag", `"written"`)
		request.URL.RawQuery = url.Values{"X-Goog-Algorithm": {"GOOG4-RSA-SHA256"}}.Encode()
	}
	x.inner.ServeHTTP(answer, request)
}

func (x *xmlAPI) hasBucket(path string) bool {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	answer := httptest.NewRecorder()
	x.inner.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/storage/v1/b/"+bucket, nil))
	return answer.Code == http.StatusOK
}

func refuse(answer http.ResponseWriter, status int, code string) {
	answer.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	answer.WriteHeader(status)
	fmt.Fprintf(answer, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code></Error>", code)
}

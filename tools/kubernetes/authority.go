package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs every certificate of the cluster. Keys are P-256: made in no time, and known to all who read them.
type authority struct {
	dir         string
	certificate *x509.Certificate
	pem         []byte
	key         *ecdsa.PrivateKey
}

// newAuthority makes the authority and writes DIR/ca.crt and DIR/ca.key.
func newAuthority(dir string) (*authority, error) {
	a := &authority{dir: dir}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "control-plane"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, key, err := a.sign(template)
	if err != nil {
		return nil, err
	}
	if a.certificate, err = x509.ParseCertificate(certificate.Certificate[0]); err != nil {
		return nil, err
	}
	a.pem, a.key = certificatePEM(certificate), certificate.PrivateKey.(*ecdsa.PrivateKey)
	return a, a.write(map[string][]byte{"ca.crt": a.pem, "ca.key": key})
}

// writeServing writes DIR/NAME.crt and DIR/NAME.key for an API server at these addresses, the Service `kubernetes`.
func (a *authority) writeServing(name string, addresses ...net.IP) error {
	certificate, key, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: addresses,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return err
	}
	return a.write(map[string][]byte{name + ".crt": certificatePEM(certificate), name + ".key": key})
}

// writeKubeconfig writes a kubeconfig, complete in itself, for a user in groups; what it holds is returned too.
func (a *authority) writeKubeconfig(name, server, user string, groups ...string) (*tls.Config, error) {
	certificate, key, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, err
	}
	encode := base64.StdEncoding.EncodeToString
	kubeconfig := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: control-plane
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %q
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: control-plane
  context: {cluster: control-plane, user: %[3]q}
current-context: control-plane
`, server, encode(a.pem), user, encode(certificatePEM(certificate)), encode(key))
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{*certificate}}, a.write(map[string][]byte{name: []byte(kubeconfig)})
}

// sign completes the template and signs it: with the authority's key, or with its own when there is none yet. The
// certificate's key is returned as PEM too.
func (a *authority) sign(template *x509.Certificate) (*tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, err
	}
	template.NotBefore = time.Now().Add(-time.Hour) // whose clock is a little behind accepts it too
	template.NotAfter = time.Now().Add(7 * 24 * time.Hour)
	issuer, issuerKey := a.certificate, a.key
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := privatePEM(key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, keyPEM, err
}

func (a *authority) write(files map[string][]byte) error { return write(a.dir, files) }

// writeKeyPair writes DIR/NAME.key and DIR/NAME.pub, a key without a certificate.
func writeKeyPair(dir, name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := privatePEM(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return write(dir, map[string][]byte{
		name + ".key": private,
		name + ".pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
	})
}

func certificatePEM(certificate *tls.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
}

func privatePEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func write(dir string, files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Command network-policy says which traffic NetworkPolicies allow, as cyclonus does, a test suite for the network plugins of
// Kubernetes. It reads lines of {"policies", "direction", "namespace", "labels", "peers", "ports"}: a Pod by its namespace and
// labels, peers that are addresses or Pods, and ports of protocols. It answers each line with {"allowed": […]}, a text for each
// port with a 1 or 0 for each peer, or with {"error": "…"}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

type question struct {
	Policies  []*networkingv1.NetworkPolicy
	Direction string
	Namespace string
	Labels    map[string]string
	Peers     []peer
	Ports     []port
}

// A peer is a Pod where Namespace is set, and an address of the world otherwise.
type peer struct {
	IP              string
	Namespace       string
	NamespaceLabels map[string]string
	Labels          map[string]string
}

type port struct {
	Protocol corev1.Protocol
	Number   int
}

func main() {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return
		}
		if err != nil && err != io.EOF {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answer, _ := json.Marshal(answer(line))
		fmt.Printf("%s\n", answer)
	}
}

// The library panics on what an API server would refuse.
func answer(line []byte) (said map[string]any) {
	defer func() {
		if fault := recover(); fault != nil {
			said = map[string]any{"error": fmt.Sprint(fault)}
		}
	}()
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return map[string]any{"error": err.Error()}
	}
	policy := matcher.BuildNetworkPolicies(false, asked.Policies)
	// Whether a block matches the addresses of Pods depends on the network: a Pod is asked about without blocks.
	selectors := matcher.BuildNetworkPolicies(false, withoutBlocks(asked.Policies))
	isIngress := asked.Direction == "ingress"
	pod := &matcher.TrafficPeer{
		IP:       "192.0.2.1",
		Internal: &matcher.InternalPeer{Namespace: asked.Namespace, PodLabels: asked.Labels},
	}
	allowed := make([]string, 0, len(asked.Ports))
	for _, port := range asked.Ports {
		bits := make([]byte, 0, len(asked.Peers))
		for _, peer := range asked.Peers {
			rules, other := policy, &matcher.TrafficPeer{IP: peer.IP}
			if peer.Namespace != "" {
				rules, other.IP = selectors, "192.0.2.2"
				other.Internal = &matcher.InternalPeer{
					Namespace:       peer.Namespace,
					NamespaceLabels: peer.NamespaceLabels,
					PodLabels:       peer.Labels,
				}
			}
			traffic := &matcher.Traffic{
				Source: pod, Destination: other, ResolvedPort: port.Number, Protocol: port.Protocol,
			}
			if isIngress {
				traffic.Source, traffic.Destination = other, pod
			}
			bit := byte('0')
			if rules.IsIngressOrEgressAllowed(traffic, isIngress).IsAllowed() {
				bit = '1'
			}
			bits = append(bits, bit)
		}
		allowed = append(allowed, string(bits))
	}
	return map[string]any{"allowed": allowed}
}

// withoutBlocks leaves out the blocks of rules, and the rules that have no other peers.
func withoutBlocks(policies []*networkingv1.NetworkPolicy) []*networkingv1.NetworkPolicy {
	left := make([]*networkingv1.NetworkPolicy, 0, len(policies))
	for _, policy := range policies {
		policy = policy.DeepCopy()
		ingress, egress := policy.Spec.Ingress, policy.Spec.Egress
		policy.Spec.Ingress, policy.Spec.Egress = nil, nil
		for _, rule := range ingress {
			if peers := selecting(rule.From); len(peers) > 0 || len(rule.From) == 0 {
				rule.From = peers
				policy.Spec.Ingress = append(policy.Spec.Ingress, rule)
			}
		}
		for _, rule := range egress {
			if peers := selecting(rule.To); len(peers) > 0 || len(rule.To) == 0 {
				rule.To = peers
				policy.Spec.Egress = append(policy.Spec.Egress, rule)
			}
		}
		left = append(left, policy)
	}
	return left
}

func selecting(peers []networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyPeer {
	var left []networkingv1.NetworkPolicyPeer
	for _, peer := range peers {
		if peer.IPBlock == nil {
			left = append(left, peer)
		}
	}
	return left
}

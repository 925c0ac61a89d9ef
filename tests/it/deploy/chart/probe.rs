//! `helm test`: a Pod of the chart proves that the Service answers, by `portcullis probe`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use axum::http::Method;
use serde_json::{Value, json};

use super::super::kubelet::{Replica, pods, strings};
use super::super::network::Network;
use super::super::program::Program;
use super::super::{NAME, WEBHOOKS, cluster, configuration, secret_ca, trusted};
use super::installed::{helm, namespace};
use super::{CHART, CI, ci, template, template_all};
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;
use crate::serve::run;

const POD: &str = "/api/v1/namespaces/portcullis/pods/portcullis-test";

/// An address of the node that leads to the endpoint, as that of a Service does.
fn service(node: Ipv4Addr, endpoint: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((node, 0)).expect("an address");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            let endpoint = TcpStream::connect(endpoint).expect("the endpoint");
            let (mut back, mut answers) =
                [&caller, &endpoint].map(|end| end.try_clone().expect("another handle")).into();
            let (mut requests, mut forth) = (caller, endpoint);
            std::thread::spawn(move || std::io::copy(&mut requests, &mut forth));
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
        }
    });
    address
}

/// The Pod of `helm test`.
fn pod(objects: &[Value]) -> &Value {
    objects.iter().find(|object| object["kind"] == "Pod").expect("a Pod")
}

#[test]
fn the_pod_trusts_what_the_api_server_trusts_and_is_no_endpoint() {
    for name in CI {
        let objects = template_all(&["--values", &ci(name)]);
        let pod = pod(&objects);
        let installed = template(&["--values", &ci(name)]);
        let service = installed.iter().find(|object| object["kind"] == "Service").expect("a Service");
        let key = "app.kubernetes.io/name";
        assert_ne!(service["spec"]["selector"][key], pod["metadata"]["labels"][key], "{name}");
        let arguments = strings(&pod["spec"]["containers"][0]["args"]);
        assert_eq!(arguments[..2], ["probe", "--url=https://portcullis.portcullis.svc"]);
        let volume = &pod["spec"]["volumes"][0];
        if name == "air-gap" {
            assert!(arguments[2].starts_with("--ca-pem=-----BEGIN CERTIFICATE-----\n") && volume.is_null(), "{pod:#}");
        } else {
            assert_eq!(arguments[2..], ["--ca=/etc/portcullis-ca/ca.crt"]);
            // The key stays where it is.
            assert_eq!(volume["secret"]["items"], json!([{"key": "ca.crt", "path": "ca.crt"}]));
        }
        // A network policy that names the API servers lets the Pod in.
        let policy = installed.iter().find(|object| object["kind"] == "NetworkPolicy").expect("a NetworkPolicy");
        let from = &policy["spec"]["ingress"][0]["from"];
        let peer = json!({"podSelector": {"matchLabels": {key: "portcullis-test"}}});
        assert!(from.is_null() || from.as_array().expect("peers").contains(&peer), "{name}: {from}");
    }
}

#[test]
fn it_says_what_is_wrong() {
    let plane = cluster();
    let program = Program::serve(&plane, &configuration("deploy/overlays/enforce")).ready();
    let ca = secret_ca(&plane).expect("a certificate in the Secret");
    let probe = |address: SocketAddr, url: &str, ca: &str| {
        let address = address.to_string();
        run(&["probe", "--url", url, "--ca-pem", ca, "--address", &address, "--timeout", "0"], "")
    };
    let (reviews, admin) = program.addresses();
    let ours = "https://portcullis.portcullis.svc";
    let (code, said, errors) = probe(reviews, ours, &ca);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(said.starts_with("https://portcullis.portcullis.svc/ answers an AdmissionReview ("), "{said}");
    // It was judged, and recorded as a dry run.
    eventually("it is recorded", || {
        let asked = |record: &Value| record["name"] == "portcullis-probe" && record["dryRun"] == true;
        program.records().iter().any(asked).then_some(())
    });
    let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).expect("a certificate").cert.pem();
    for (address, url, ca, reason) in [
        (reviews, ours, other.as_str(), "certificate"),
        (reviews, "https://elsewhere.portcullis.svc", &ca, "certificate"),
        (admin, ours, &ca, "error"),
    ] {
        let (code, said, errors) = probe(address, url, ca);
        assert_eq!((code, said.as_str()), (Some(1), ""), "{errors}");
        assert!(errors.contains("does not answer an AdmissionReview: ") && errors.contains(reason), "{errors}");
    }
    for (url, ca, reason) in [(ours, "none", "PEM"), ("http://portcullis", ca.as_str(), "must begin with https://")] {
        let (code, _, errors) = probe(reviews, url, ca);
        assert!(code == Some(2) && errors.contains(reason), "{code:?} {errors}");
    }
}

#[test]
fn helm_test_succeeds_when_the_service_answers() {
    let network = Network::new();
    let plane = Plane::start(&["--address", &network.node.to_string()]);
    namespace(&plane);
    helm(&plane, &["install", NAME, CHART, "--values", &ci("enforce")]);
    let server = Replica::start(&plane, &network, pods(&plane, 2).remove(0), "info,kube=warn");
    eventually("it is ready", || (server.probe("readinessProbe").0 == 200).then_some(()));
    server.report(&plane);
    for resource in WEBHOOKS {
        eventually("caBundle is filled in", || trusted(&plane, resource).map(drop));
    }
    std::thread::scope(|scope| {
        let test = scope.spawn(|| helm(&plane, &["test", NAME, "--timeout", "2m"]));
        let mut pod = eventually("helm creates the Pod", || {
            let found = plane.admin.call(Method::GET, POD, None);
            found.is_success().then_some(found.body)
        });
        // Nobody resolves names here, or knows Services.
        let address = format!("--address={}", service(network.node, server.port(&json!("reviews"))));
        pod["spec"]["containers"][0]["args"].as_array_mut().expect("arguments").push(address.into());
        let mut probe = Replica::start(&plane, &network, pod, "info");
        let (code, log) = probe.program.ended();
        assert_eq!((code, log.as_str()), (Some(0), ""));
        let status = json!({"status": {"phase": "Succeeded"}});
        plane.admin.call(Method::PATCH, &format!("{POD}/status"), Some(&status)).admitted();
        let said = test.join().expect("helm test succeeds");
        assert!(said.contains("Phase:") && said.contains("Succeeded"), "{said}");
    });
    eventually("the Pod is gone", || {
        plane.admin.call(Method::DELETE, &format!("{POD}?gracePeriodSeconds=0"), None);
        (!plane.admin.call(Method::GET, POD, None).is_success()).then_some(())
    });
}

//! The chart with each form of the backstop loaded, by helm as somebody of the group that the backstop names.

use super::installed::it_comes_and_goes;
use crate::golden::repository;
use crate::kubernetes::backstop::{Form, acting_as, developer, loaded, permit};

const GROUP: &str = "helmsmen";

fn comes_and_goes(form: Form) {
    let configuration = repository("deploy/overlays/enforce/config.yaml");
    let mut files = None;
    it_comes_and_goes(|network| {
        let address = network.node.to_string();
        let (mut plane, admission) = loaded(form, &configuration, &[GROUP], &["--address", &address]);
        permit(&plane, GROUP);
        developer(&plane);
        let kubeconfig = admission.folder("kubeconfig");
        acting_as(&plane, "helm", GROUP, &kubeconfig);
        plane.place.kubeconfig = kubeconfig;
        files = Some(admission);
        plane
    });
    drop(files);
}

#[test]
fn it_comes_and_goes_with_a_backstop_of_objects() {
    comes_and_goes(Form::Api);
}

#[test]
fn it_comes_and_goes_with_a_backstop_of_files() {
    comes_and_goes(Form::Static);
}

//! The objects that traps are about: webhooks, our own objects, and what the API server says of us.

use std::fmt::Debug;
use std::time::Duration;

use axum::http::Request;
use http_body_util::{BodyExt as _, Collected, Limited};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, PostParams};
use kube::client::Body;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::Preflight;
use crate::preflight::{LABEL, Needs, Reached, Right, Seen, is_outside, needed};
use crate::webhooks::Target;

/// Objects of a page, and of a kind.
const PAGE: u32 = 250;
const MOST: usize = 5_000;
/// Maximum time for an answer of the API server.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of an answer of our server that are read and shown.
const ANSWER: usize = 4 << 10;
const SHOWN: usize = 200;

/// Reads them. What cannot be read is among the unreadable.
pub(super) async fn read(preflight: &mut Preflight<'_>, client: &Client, target: Target) -> Seen {
    let own = target.namespace.clone();
    let all = ListParams::default().limit(PAGE);
    let of_service = all.clone().labels(&format!("kubernetes.io/service-name={}", target.service));
    let told = &mut preflight.unreadable;
    let validating = list::<ValidatingWebhookConfiguration>(told, Api::all(client.clone()), &all).await;
    let mutating = list::<MutatingWebhookConfiguration>(told, Api::all(client.clone()), &all).await;
    let deployments = list::<Deployment>(told, Api::namespaced(client.clone(), &own), &all).await;
    let stateful_sets = list::<StatefulSet>(told, Api::namespaced(client.clone(), &own), &all).await;
    let pods = list::<Pod>(
        told,
        Api::namespaced(client.clone(), &own),
        &all.clone().labels(&format!("{}={}", LABEL.0, LABEL.1)),
    )
    .await;
    let budgets = list::<PodDisruptionBudget>(told, Api::namespaced(client.clone(), &own), &all).await;
    let endpoints = list::<EndpointSlice>(told, Api::namespaced(client.clone(), &own), &of_service).await;
    let namespaces = list::<Namespace>(told, Api::all(client.clone()), &all).await;
    let service = get::<Service>(told, Api::namespaced(client.clone(), &own), &target.service).await;
    let version = version(told, client).await;
    let container = pods.first().and_then(|pod| pod.spec.as_ref()).and_then(|spec| spec.containers.first());
    let args: Vec<String> = container.and_then(|container| container.args.clone()).unwrap_or_default();
    let has = |option: &str| args.iter().any(|arg| arg == option || arg.starts_with(&format!("{option}=")));
    let account = pods.first().and_then(|pod| pod.spec.as_ref()?.service_account_name.clone());
    let account = account.unwrap_or_else(|| LABEL.1.to_owned());
    // Without a Pod nothing is known of the rights that it will have.
    let needs = Needs {
        certificate: has("--self-managed-certificate"),
        repair: preflight.snapshot.repairs_webhooks(),
        replicas: has("--fallback-to-last-good"),
    };
    let rights = if pods.is_empty() { Vec::new() } else { needed(needs) };
    let denied = denied(told, client, &own, &account, rights).await;
    let reached = if is_outside(&validating) {
        Reached::NotAsked("the webhooks lead to a URL, and its replicas are not counted".to_owned())
    } else if service.is_none()
        || !endpoints.iter().any(|slice| slice.endpoints.as_ref().is_some_and(|all| !all.is_empty()))
    {
        Reached::NotAsked("there is no endpoint".to_owned())
    } else if has("--client-ca") && !has("--path-token-file") {
        Reached::NotAsked("the server takes no connection without a client certificate".to_owned())
    } else {
        reach(told, client, &own, &target.service).await
    };
    if let Reached::NotAsked(reason) = &reached {
        preflight.notes.insert(format!("the API server was not asked to reach the Service: {reason}"));
    }
    Seen {
        target,
        now: preflight.now,
        version,
        validating,
        mutating,
        namespaces,
        deployments,
        stateful_sets,
        pods,
        budgets,
        service,
        endpoints,
        reached,
        denied,
        critical: Vec::new(),
        missing: Vec::new(),
    }
}

/// Waits for an answer; an error names `what` could not be read.
async fn asked<T>(told: &mut Vec<String>, what: &str, answer: impl Future<Output = kube::Result<T>>) -> Option<T> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(kube::Error::Api(status))) => {
            told.push(format!("{what}: {}", status.message));
            None
        }
        Ok(Err(error)) => {
            told.push(format!("{what}: {error}"));
            None
        }
        Err(_) => {
            told.push(format!("{what}: the API server did not answer within {PATIENCE:?}"));
            None
        }
    }
}

async fn list<K>(told: &mut Vec<String>, api: Api<K>, parameters: &ListParams) -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let what = K::plural(&());
    let (mut all, mut parameters) = (Vec::new(), parameters.clone());
    loop {
        let Some(page) = asked(told, &what, api.list(&parameters)).await else { return all };
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            None => return all,
            Some(_) if all.len() >= MOST => {
                told.push(format!("{what}: there are more than {MOST}"));
                return all;
            }
            Some(token) => parameters = parameters.continue_token(&token),
        }
    }
}

async fn get<K>(told: &mut Vec<String>, api: Api<K>, name: &str) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    asked(told, &K::plural(&()), api.get_opt(name)).await.flatten()
}

async fn version(told: &mut Vec<String>, client: &Client) -> Option<(u32, u32)> {
    let info = asked(told, "the version of the API server", client.apiserver_version()).await?;
    // Some providers add a plus sign.
    let number = |text: &str| text.trim_end_matches('+').parse().ok();
    Some((number(&info.major)?, number(&info.minor)?))
}

/// The rights of a ServiceAccount that are denied.
async fn denied(told: &mut Vec<String>, client: &Client, own: &str, account: &str, rights: Vec<Right>) -> Vec<Right> {
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let mut denied = Vec::new();
    let nothing = PostParams::default();
    for right in rights {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{own}:{account}")),
                groups: Some(vec![
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{own}"),
                    "system:authenticated".to_owned(),
                ]),
                resource_attributes: Some(ResourceAttributes {
                    group: text(right.group),
                    resource: text(right.resource),
                    name: text(right.name),
                    verb: text(right.verb),
                    namespace: right.is_namespaced.then(|| own.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = asked(told, "subjectaccessreviews", api.create(&nothing, &review));
        // Once one is forbidden, all are.
        let Some(answer) = answer.await else { return denied };
        if !answer.status.is_some_and(|status| status.allowed) {
            denied.push(right);
        }
    }
    denied
}

/// Asks our server by way of the API server, which connects to it as it does for a review. The method is not allowed there, so
/// nothing is judged or recorded.
async fn reach(told: &mut Vec<String>, client: &Client, own: &str, service: &str) -> Reached {
    let path = format!("/api/v1/namespaces/{own}/services/https:{service}:443/proxy/validate");
    let answer = async {
        let request = Request::get(&path).body(Body::empty()).map_err(|error| kube::Error::Service(error.into()))?;
        let response = client.send(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        Ok((status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
    };
    let what = format!("services/proxy of https:{service}:443");
    // An address that drops what comes is the usual form of a firewall.
    let Ok(answer) = tokio::time::timeout(PATIENCE, answer).await else {
        return Reached::Failed(format!("no answer within {PATIENCE:?}"));
    };
    match asked(told, &what, std::future::ready(answer)).await {
        // Ours: the method, or a caller without a token, is refused.
        Some((405 | 401, _)) => Reached::Answered,
        Some((403, said)) => {
            told.push(format!("{what}: forbidden: {}", said.chars().take(SHOWN).collect::<String>()));
            Reached::NotAsked("the right is missing".to_owned())
        }
        Some((status, said)) => {
            let said: String = said.chars().take(SHOWN).collect();
            Reached::Failed(format!("status {status}: {said}"))
        }
        None => Reached::NotAsked("there was no answer".to_owned()),
    }
}

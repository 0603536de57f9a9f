//! The OpenAPI document, written from the routes.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::http::{
    problem::{PROBLEM_JSON, ProblemType, ProblemView},
    route::Route,
    token::Access,
};

/// OpenAPI's version, whose schemas are those of JSON Schema 2020-12.
const OPENAPI: &str = "3.1.1";

/// Refusals that every route may answer with.
const ANYWHERE: [ProblemType; 2] = [ProblemType::HeadTooLarge, ProblemType::TooSlow];

/// Refusals of what needs a token.
const TOKEN_PROBLEMS: [ProblemType; 3] = [ProblemType::TokenNeeded, ProblemType::NoTokens, ProblemType::Unavailable];

/// The document that describes these routes.
pub fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator = settings.with(|it| it.definitions_path = "/components/schemas".into()).into_generator();
    let problem = generator.subschema_for::<ProblemView>().to_value();
    let mut paths = Map::new();
    for route in routes {
        let operations = paths.entry(route.path).or_insert_with(|| json!({}));
        operations[route.method] = operation(route, &mut generator, &problem);
    }
    json!({
        "openapi": OPENAPI,
        "info": {
            "title": "job-chief",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "What is going on, why, and what can be changed",
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "a line of server.tokenFile"}},
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "responses": responses(route, generator, problem),
        "security": match route.access {
            Access::Open => json!([]),
            // Without a token, or with one: the settings say which.
            Access::Metrics | Access::Read => json!([{}, {"token": []}]),
            Access::Change => json!([{"token": []}]),
        },
    });
    operation["parameters"] = json!(parameters(route));
    if let Some(body) = route.body {
        // What may be left out of what is sent is never left out of what is answered.
        let schema = body(&mut SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true).into_generator());
        operation["requestBody"] = json!({"required": false, "content": {"application/json": {"schema": schema}}});
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let text = json!({"type": "string"});
    let name = route.path.contains("{name}").then(|| {
        let what = if route.path.starts_with("/deployment") {
            "the name of the deployment"
        } else if route.path.starts_with("/modules") {
            "the name of the module"
        } else {
            "the name in jobs.json"
        };
        json!({"name": "name", "in": "path", "required": true, "schema": text, "description": what})
    });
    let action = route.path.contains("{action}").then(|| {
        let what = "the name of the action in jobs.json";
        json!({"name": "action", "in": "path", "required": true, "schema": text, "description": what})
    });
    let asked = route.question.map(|(name, meaning)| {
        json!({"name": name, "in": "query", "required": false, "schema": text, "description": meaning})
    });
    name.into_iter().chain(action).chain(asked).collect()
}

fn responses(route: &Route, generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut responses = Map::new();
    for code in route.answer.codes {
        let schema = route.answer.schema.map_or(json!({"type": "string"}), |schema| schema(generator).to_value());
        let description = code.canonical_reason().unwrap_or_default();
        responses.insert(
            code.as_str().to_owned(),
            json!({"description": description, "content": {route.answer.media_type: {"schema": schema}}}),
        );
    }
    let token = if route.access == Access::Open { &[][..] } else { &TOKEN_PROBLEMS };
    for kind in ANYWHERE.iter().chain(token).chain(route.problems) {
        let code = kind.code().as_str().to_owned();
        let response = responses.entry(code).or_insert_with(|| json!({"description": kind.title(), "content": {}}));
        response["content"][PROBLEM_JSON] = json!({"schema": problem});
    }
    Value::Object(responses)
}

/// `getJobsNameWhy`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(route.method.to_owned(), |id, word| id + &word[..1].to_ascii_uppercase() + &word[1..])
}

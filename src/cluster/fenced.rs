//! Requests that are sent only while the lease lasts, looked at last of all.
//!
//! The body of a request is asked for when its connection is there and its head is about to be written with it. A
//! body that refuses then leaves the API server with half a request, which it does not carry out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Bytes, HttpBody},
    http::Request,
};
use http_body::{Frame, SizeHint};
use kube::client::Body;
use thiserror::Error;

use crate::fence::Fence;

/// The lease has ended before the request was written.
#[derive(Debug, Error)]
#[error("the lease has ended: the request was dropped before it was written")]
pub struct LeaseOver;

/// A body that is given away only while the fence is open.
#[derive(Debug)]
pub struct Fenced {
    body: Body,
    fence: Option<Fence>,
}

impl Fenced {
    /// Holds a request to the fence among its extensions; one that carries none is free.
    pub fn request(request: Request<Body>) -> Request<Self> {
        let fence = request.extensions().get::<Fence>().cloned();
        request.map(|body| Self { body, fence })
    }
}

impl HttpBody for Fenced {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.fence.as_ref().is_some_and(|fence| !fence.is_open()) {
            return Poll::Ready(Some(Err(LeaseOver.into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

# The build stage only runs the script that also makes the image for the tests.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
RUN sh deploy/image-root.sh /image

FROM scratch
COPY --from=build /image /
WORKDIR /app
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/job-chief"]
CMD ["run"]

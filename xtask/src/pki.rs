//! The one certificate that the control plane does not make itself: the API server's, towards the kubelet.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Writes `kubelet-ca.crt`, `kubelet-client.crt` and `kubelet-client.key`, and a key pair for service accounts.
pub(crate) fn write(folder: &Path) -> anyhow::Result<()> {
    let mut ca = CertificateParams::new(vec![])?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    ca.distinguished_name.push(DnType::CommonName, "job-chief-test-kubelet-ca");
    let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

    let mut client = CertificateParams::new(vec![])?;
    client.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = client.signed_by(&key, &issuer)?;

    let accounts = KeyPair::generate()?;
    fs::write(folder.join("kubelet-ca.crt"), issuer.pem())?;
    fs::write(folder.join("kubelet-client.crt"), certificate.pem())?;
    fs::write(folder.join("kubelet-client.key"), key.serialize_pem())?;
    fs::write(folder.join("accounts.key"), accounts.serialize_pem())?;
    fs::write(folder.join("accounts.pub"), accounts.public_key_pem())?;
    Ok(())
}

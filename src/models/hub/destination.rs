//! Where downloads may come from: the endpoint, which is the operator's own choice, and where it
//! redirects to, over https and on public addresses only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::models::error::HubError;

/// Resolves names to public addresses alone, at the moment of connecting, so that a name cannot
/// change its meaning in between. A proxy may stand anywhere; what is reached without it, because
/// `NO_PROXY` says so, may not.
#[derive(Debug, Default)]
pub(super) struct PublicResolver {
    inner: DefaultResolver,
    /// The proxy's host.
    proxy: Option<String>,
}

impl PublicResolver {
    pub(super) fn beside(proxy: Option<&str>) -> Self {
        Self { inner: DefaultResolver::default(), proxy: proxy.map(str::to_owned) }
    }
}

impl Resolver for PublicResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let all = self.inner.resolve(uri, config, timeout)?;
        if uri.host().is_some() && uri.host() == self.proxy.as_deref() {
            return Ok(all);
        }
        let mut public = self.empty();
        for address in all.iter().filter(|address| is_public(address.ip())) {
            public.push(*address);
        }
        if public.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(public) }
    }
}

/// Whether two URLs have scheme, host and port in common.
pub(super) fn is_same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| {
        uri.port_u16().or(if uri.scheme_str() == Some("http") { Some(80) } else { Some(443) })
    };
    a.scheme_str() == b.scheme_str() && a.host() == b.host() && port(a) == port(b)
}

/// Where a redirect from `from` to `location` leads, if it may be followed.
pub(super) fn follow(endpoint: &Uri, from: &Uri, location: &str) -> Result<Uri, HubError> {
    let refuse = |problem: &str| HubError::Redirect {
        url: from.to_string(),
        target: location.chars().take(200).collect(),
        problem: problem.to_owned(),
    };
    let absolute = if location.starts_with('/') && !location.starts_with("//") {
        let (scheme, authority) = (from.scheme_str(), from.authority());
        let authority = authority.map(ToString::to_string).unwrap_or_default();
        format!("{}://{authority}{location}", scheme.unwrap_or("https"))
    } else {
        location.to_owned()
    };
    let target: Uri = absolute.parse().map_err(|_| refuse("it is no URL"))?;
    let Some(host) = target.host() else { return Err(refuse("it names no host")) };
    if is_same_origin(endpoint, &target) {
        return Ok(target);
    }
    if target.scheme_str() != Some("https") {
        return Err(refuse("only https may be redirected to"));
    }
    if Some(host) == endpoint.host() {
        return Ok(target);
    }
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    if address.is_ok_and(|address| !is_public(address)) {
        return Err(refuse("its address is not public"));
    }
    Ok(target)
}

/// Whether an address can belong to a public server
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>, and the same for IPv6).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(address) => is_public_v4(address),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 | 240.. => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => address.is_multicast(),
    };
    !special
}

/// Global unicast, without documentation and other special blocks in it.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let special = first == 0x2001 && (second < 0x200 || second == 0xdb8) || first == 0x3fff;
    (0x2000..0x4000).contains(&first) && !special
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 or 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let pair = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(pair(high, low))
        }
        [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{follow, is_public};

    #[test]
    fn special_addresses_are_not_public() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.2.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "100.63.0.1", "172.32.0.1", "192.0.3.1", "2606:4700::1111"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn redirects_lead_to_the_endpoint_or_to_public_https() {
        let endpoint = "http://10.0.0.5:8080".parse().unwrap();
        let from = "http://10.0.0.5:8080/a/b/resolve/main/config.json".parse().unwrap();
        for (location, target) in [
            ("/cache/x?y=1", "http://10.0.0.5:8080/cache/x?y=1"),
            ("http://10.0.0.5:8080/c", "http://10.0.0.5:8080/c"),
            ("https://10.0.0.5/c", "https://10.0.0.5/c"),
            ("https://cdn.example.com/c", "https://cdn.example.com/c"),
            ("https://1.1.1.1/c", "https://1.1.1.1/c"),
        ] {
            assert_eq!(follow(&endpoint, &from, location).unwrap(), target);
        }
        for location in [
            "http://cdn.example.com/c",
            "http://10.0.0.5:9090/c",
            "https://127.0.0.1/c",
            "https://[::1]/c",
            "https://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "//evil.example.com/c",
            "ftp://a/c",
            "relative",
            "",
            "https://[::ffff:10.0.0.1]/",
            "https:///c",
        ] {
            assert!(follow(&endpoint, &from, location).is_err(), "{location}");
        }
    }
}

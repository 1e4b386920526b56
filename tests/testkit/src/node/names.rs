//! The names of the simulated cloud, for pods: a DNS server that knows these and no others.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::error::{Context, Error};

/// Types of records.
const A: u16 = 1;
const AAAA: u16 = 28;

/// A server on port 53, stopped when the value is dropped.
pub(super) struct Names(JoinHandle<()>);

impl Names {
    /// Answers with the addresses of these names.
    pub(super) async fn serve(address: IpAddr, zone: BTreeMap<String, Vec<IpAddr>>) -> Result<Self, Error> {
        let address = SocketAddr::new(address, 53);
        let socket = UdpSocket::bind(address)
            .await
            .context(|| format!("listen on {address}"))?;
        Ok(Self(tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut question).await {
                if let Some(answer) = answer(&question[..length], &zone) {
                    // The client asks again.
                    socket.send_to(&answer, client).await.ok();
                }
            }
        })))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The answer to a message with one question; `None` if it is no such message.
fn answer(message: &[u8], zone: &BTreeMap<String, Vec<IpAddr>>) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let mut labels = Vec::new();
    let mut place = HEADER;
    loop {
        let length = usize::from(*message.get(place)?);
        let label = message.get(place + 1..place + 1 + length)?;
        place += 1 + length;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
    let kind = u16::from_be_bytes([*message.get(place)?, *message.get(place + 1)?]);
    let question = message.get(HEADER..place + 4)?;
    let known = zone.get(&labels.join("."));
    let wanted = |address: &&IpAddr| matches!((kind, address), (A, IpAddr::V4(_)) | (AAAA, IpAddr::V6(_)));
    let addresses: Vec<_> = known.into_iter().flatten().filter(wanted).collect();

    let mut answer = message.get(..2)?.to_vec();
    // An answer with authority, to a client that may want recursion; 3: there is no such name.
    answer.extend([0x85, if known.is_some() { 0x80 } else { 0x83 }]);
    for count in [1, u16::try_from(addresses.len()).ok()?, 0, 0] {
        answer.extend(count.to_be_bytes());
    }
    answer.extend(question);
    for address in addresses {
        // The name is that of the question; class IN; five seconds.
        answer.extend([0xc0, 0x0c]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 5]);
        match address {
            IpAddr::V4(address) => {
                answer.extend([0, 4]);
                answer.extend(address.octets());
            }
            IpAddr::V6(address) => {
                answer.extend([0, 16]);
                answer.extend(address.octets());
            }
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.as_bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    #[test]
    fn names_of_the_zone_have_addresses_and_others_do_not_exist() {
        let zone = BTreeMap::from([("iam.example".to_owned(), vec!["10.1.2.3".parse().unwrap()])]);
        let found = answer(&question("IAM.example", A), &zone).unwrap();
        assert_eq!((&found[..2], found[3] & 0xf, found[7]), (&[7, 9][..], 0, 1));
        assert!(found.ends_with(&[0, 4, 10, 1, 2, 3]), "{found:?}");
        let other_kind = answer(&question("iam.example", AAAA), &zone).unwrap();
        assert_eq!((other_kind[3] & 0xf, other_kind[7]), (0, 0));
        let unknown = answer(&question("iam.example.cluster.local", A), &zone).unwrap();
        assert_eq!((unknown[3] & 0xf, unknown[7]), (3, 0));
        assert_eq!(answer(&[1, 2, 3], &zone), None);
    }
}

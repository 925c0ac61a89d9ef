//! Blocks, spelled as an API server takes them, and what they hold together.

use super::{Addresses, Widest};

fn holds(blocks: &[&str]) -> bool {
    let mut set = Addresses::default();
    for block in blocks {
        assert!(set.add(block.trim(), std::iter::empty()), "{block}");
    }
    set.are_everywhere(Widest::default())
}

#[test]
fn blocks_together_hold_what_none_holds_alone() {
    for wide in [
        &["0.0.0.0/0"][..],
        &["1.2.3.4/0"],
        &["::/0"],
        &["2000::/3"],
        &["2a00::/16"],
        &["2a00::/17", "2a00:8000::/17"],
        &["0.0.0.0/1"],
        &["128.0.0.0/1", "0.0.0.0/1"],
        &["20.0.0.0/8"],
        &["20.128.0.0/9", "20.0.0.0/9"],
        &["10.0.0.0/7"],
        &["192.0.0.0/3"],
        &["::ffff:0.0.0.0/96"],
        &["010.0.0.0/5"],
        &["000.0.0.0/00"],
        &["0.0.0.0/08", "0.0.0.0/1"],
        &["::ffff:000.0.0.0/096"],
        &["00000:0::/0"],
        &[" 8.0.0.0/5 "],
    ] {
        assert!(holds(wide), "{wide:?}");
    }
    for narrow in [
        &[][..],
        &["10.0.0.0/8"],
        &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"],
        &["20.0.0.0/9", "21.0.0.0/9"],
        &["20.128.0.0/9", "21.0.0.0/9"],
        &["224.0.0.0/3"],
        &["127.0.0.0/8"],
        &["fd00::/8", "fc00::/7"],
        &["2a00::/17"],
        &["255.255.255.255/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"],
    ] {
        assert!(!holds(narrow), "{narrow:?}");
    }
}

#[test]
fn what_is_not_a_block_is_not_taken_for_one() {
    for text in
        ["", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/+8", "a/8", "1.2.3.4.5/8"]
    {
        assert!(!Addresses::default().add(text, std::iter::empty()), "{text}");
    }
}

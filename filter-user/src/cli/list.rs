//! `mtls-filter list`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use cidr::IpCidr;
use clap::{Args, Subcommand};

use super::client::{Client, segment};
use super::confirm::Confirmation;
use super::{RemoteArgs, print};
use crate::control::api::dto::{
    CreateList, CreatedItem, Hostname, Id, List, ListItem, NewItem, Operation, RemoveItems,
};

/// Lists that rules can name, as `$name`. When a command that changes one returns, every worker enforces the change.
#[derive(Debug, Subcommand)]
pub(super) enum ListCommand {
    /// Makes an empty list.
    Create(Create),
    /// Lists the lists.
    List(RemoteArgs),
    /// Shows a list and its items.
    Show(One),
    /// Adds items to a list.
    Add(Change),
    /// Removes items from a list.
    Remove(Change),
    /// Replaces all items of a list.
    Replace(Replace),
    /// Deletes a list that no rule names.
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name, as expressions write it behind `$`.
    name: String,
    /// What is in it: ip (addresses and networks), hostname or asn.
    #[arg(long)]
    kind: String,
    /// A text for people.
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The list, by name or id.
    list: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Args)]
pub(super) struct Change {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    items: Items,
}

#[derive(Debug, Args)]
pub(super) struct Replace {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Items, as operators write them.
#[derive(Debug, Args)]
struct Items {
    /// The items: addresses or networks, host names, or numbers of autonomous systems.
    #[arg(value_name = "ITEM", required_unless_present = "file")]
    items: Vec<String>,
    /// A file with more of them, one a line; what follows a `#` is the comment of an item. `-` is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A comment for those that have none.
    #[arg(long)]
    comment: Option<String>,
}

/// A list with its items, for programs.
#[derive(serde::Serialize)]
struct Whole {
    #[serde(flatten)]
    list: List,
    items: Vec<ListItem>,
}

impl ListCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => args.execute().await,
            Self::List(remote) => list(&remote).await,
            Self::Show(one) => one.show().await,
            Self::Add(args) => args.add().await,
            Self::Remove(args) => args.remove().await,
            Self::Replace(args) => args.execute().await,
            Self::Delete(args) => args.execute().await,
        }
    }
}

/// The path of all lists.
async fn lists_path(client: &Client) -> anyhow::Result<String> {
    Ok(format!("/client/v4/accounts/{}/rules/lists", client.account().await?))
}

impl Create {
    async fn execute(self) -> anyhow::Result<()> {
        let client = Client::new(&self.remote.socket);
        let Self { name, kind, description, remote } = self;
        let list: List = client.post(&lists_path(&client).await?, &CreateList { kind, name, description }).await?;
        if remote.json {
            return print::json(&list);
        }
        print::line(format_args!("{}  ${} is made", list.id, list.name))
    }
}

async fn list(remote: &RemoteArgs) -> anyhow::Result<()> {
    let client = Client::new(&remote.socket);
    let lists: Vec<List> = client.get(&lists_path(&client).await?).await?;
    if remote.json {
        return print::json(&lists);
    }
    let rows = lists.into_iter().map(|list| {
        [
            list.id,
            list.name,
            list.kind,
            list.num_items.to_string(),
            list.num_referencing_filters.to_string(),
            list.description,
        ]
    });
    print::table(["ID", "NAME", "KIND", "ITEMS", "RULES", "DESCRIPTION"], &rows.collect::<Vec<_>>())
}

impl One {
    /// The list that is meant, and its path.
    async fn find(&self) -> anyhow::Result<(Client, List, String)> {
        let client = Client::new(&self.remote.socket);
        let path = lists_path(&client).await?;
        let lists: Vec<List> = client.get(&path).await?;
        let named = self.list.strip_prefix('$').unwrap_or(&self.list);
        let found = lists.into_iter().find(|list| list.id == named || list.name == named);
        let list = found.ok_or_else(|| anyhow!("there is no list {named}: `list list` shows them"))?;
        let path = format!("{path}/{}", segment(&list.id));
        Ok((client, list, path))
    }

    async fn show(&self) -> anyhow::Result<()> {
        let (client, list, path) = self.find().await?;
        let items: Vec<ListItem> = client.all_parts(&format!("{path}/items?per_page=1000")).await?;
        if self.remote.json {
            return print::json(&Whole { list, items });
        }
        print::record(&[
            ("ID", &list.id),
            ("NAME", &list.name),
            ("KIND", &list.kind),
            ("DESCRIPTION", &list.description),
            ("RULES", &list.num_referencing_filters.to_string()),
        ])?;
        print::line(format_args!(""))?;
        let rows: Vec<_> = items.into_iter().map(|item| [value(&item), item.comment, item.created_on]).collect();
        print::table(["ITEM", "COMMENT", "CREATED"], &rows)
    }

    /// Says how many items a list has after a change.
    async fn changed(&self, client: &Client, path: &str) -> anyhow::Result<()> {
        let list: List = client.get(path).await?;
        if self.remote.json {
            return print::json(&list);
        }
        print::line(format_args!("{}  ${} has {} items", list.id, list.name, list.num_items))
    }
}

/// The value of an item.
fn value(item: &ListItem) -> String {
    let asn = item.asn.map(|asn| format!("AS{asn}"));
    let hostname = item.hostname.as_ref().map(|hostname| hostname.url_hostname.clone());
    item.ip.clone().or(asn).or(hostname).unwrap_or_default()
}

impl Change {
    async fn add(self) -> anyhow::Result<()> {
        let (client, list, path) = self.one.find().await?;
        let items = self.items.read(&list.kind)?;
        let _: Operation = client.post(&format!("{path}/items"), &items).await?;
        self.one.changed(&client, &path).await
    }

    async fn remove(self) -> anyhow::Result<()> {
        let (client, list, path) = self.one.find().await?;
        let known: Vec<ListItem> = client.all_parts(&format!("{path}/items?per_page=1000")).await?;
        let by_value: std::collections::HashMap<String, String> =
            known.into_iter().map(|item| (comparable(&value(&item)), item.id)).collect();
        let mut items = Vec::new();
        for (item, _) in self.items.lines()? {
            let id = by_value.get(&comparable(&item));
            let id =
                id.ok_or_else(|| anyhow!("{item} is not in ${}: `list show {}` shows what is", list.name, list.name))?;
            items.push(CreatedItem { id: id.clone() });
        }
        let _: Operation = client.delete_what(&format!("{path}/items"), &RemoveItems { items }).await?;
        self.one.changed(&client, &path).await
    }
}

impl Replace {
    async fn execute(self) -> anyhow::Result<()> {
        let Change { one, items } = self.change;
        let (client, list, path) = one.find().await?;
        let items = items.read(&list.kind)?;
        let what = format_args!("replacing the {} items of ${} by {}", list.num_items, list.name, items.len());
        self.confirmation.ask(what)?;
        let _: Operation = client.put(&format!("{path}/items"), &items).await?;
        one.changed(&client, &path).await
    }
}

impl Delete {
    async fn execute(self) -> anyhow::Result<()> {
        let (client, list, path) = self.one.find().await?;
        self.confirmation.ask(format_args!("deleting the list ${} with {} items", list.name, list.num_items))?;
        let gone: Id = client.delete(&path).await?;
        if self.one.remote.json {
            return print::json(&gone);
        }
        print::line(format_args!("{}  deleted", gone.id))
    }
}

impl Items {
    /// Each item with its comment.
    fn lines(&self) -> anyhow::Result<Vec<(String, Option<String>)>> {
        let mut lines: Vec<_> = self.items.iter().map(|item| (item.clone(), None)).collect();
        if let Some(path) = &self.file {
            let text = if path == Path::new("-") {
                io::read_to_string(io::stdin()).context("cannot read standard input")?
            } else {
                fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            };
            for line in text.lines() {
                let (item, comment) = line.split_once('#').map_or((line, None), |(item, rest)| (item, Some(rest)));
                let item = item.trim();
                if !item.is_empty() {
                    lines.push((item.to_owned(), comment.map(|comment| comment.trim().to_owned())));
                }
            }
        }
        Ok(lines)
    }

    /// The items in the form of the API.
    fn read(&self, kind: &str) -> anyhow::Result<Vec<NewItem>> {
        let items = self.lines()?.into_iter().map(|(item, comment)| {
            let new = NewItem { comment: comment.or_else(|| self.comment.clone()), ..NewItem::default() };
            Ok(match kind {
                "asn" => {
                    let digits = item.strip_prefix("AS").or(item.strip_prefix("as")).unwrap_or(&item);
                    let asn = digits
                        .parse()
                        .map_err(|_| anyhow!("{item} is no autonomous system: write AS64500 or 64500"))?;
                    NewItem { asn: Some(asn), ..new }
                }
                "hostname" => {
                    let hostname = Hostname { url_hostname: item, exclude_exact_hostname: None };
                    NewItem { hostname: Some(hostname), ..new }
                }
                "ip" => NewItem { ip: Some(item), ..new },
                other => bail!("this command knows no items of kind {other}: is the daemon of another version?"),
            })
        });
        items.collect()
    }
}

/// A form that two spellings of a value have in common.
fn comparable(value: &str) -> String {
    match value.parse::<IpCidr>() {
        // An address is the network that holds it alone.
        Ok(network) => format!("{}/{}", network.first_address(), network.network_length()),
        Err(_) => {
            let lower = value.to_ascii_lowercase();
            let number = lower.strip_prefix("as").filter(|rest| rest.parse::<u32>().is_ok());
            number.map_or(lower.clone(), str::to_owned)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_value_are_comparable_and_others_are_not() {
        for (left, right, same) in [
            ("192.0.2.1", "192.0.2.1/32", true),
            ("192.0.2.0/24", "192.0.2.0/25", false),
            ("2001:DB8::1", "2001:db8:0::1/128", true),
            ("AS64500", "64500", true),
            ("WWW.example.com", "www.example.com", true),
            ("as.example.com", "example.com", false),
        ] {
            assert_eq!(comparable(left) == comparable(right), same, "{left} {right}");
        }
    }
}

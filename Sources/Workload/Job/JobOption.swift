/// One option of a job: its names, how its value is read, what it is when nobody gives it, and what it does.
///
/// `JobOption.all` is the only list of options. Parsing, `--help`, the errors, and the command that repeats a run are all
/// driven by it.
package struct JobOption: Sendable {
  /// The identity of an option; its raw value is the name it is written with.
  package enum Name: String, CaseIterable, Sendable, Hashable {
    case name, target, filename, rw
    case fileOperations = "fs_ops"
    case blockSize = "bs"
    case size, runtime
    case timeBased = "time_based"
    case depth = "iodepth"
    case copies = "numjobs"
    case engine = "ioengine"
    case direct
    case randomSeed = "randseed"
    case noRandomMap = "norandommap"
    case fsync, fdatasync
    case endFsync = "end_fsync"
    case groupReporting = "group_reporting"
    case queueDepth = "queue_depth"
    case image
    case imageSize = "image_size"
    case writeback, frees, allocation
    case cacheSize = "cache_size"
    case dirtyLimit = "dirty_limit"
    case dirtyBackground = "dirty_background"
    case writebackBatch = "wb_batch"
    case failedPages = "failed_pages"
  }

  /// How the text of a value is read.
  package enum Kind: Sendable, Equatable {
    /// Any text that is not empty.
    case text
    /// Names with colons between them, none empty, none twice; a backslash makes a colon part of a name.
    case names
    /// Bytes, with a suffix k, m, g or t.
    case bytes(ClosedRange<UInt64>)
    /// A duration, with a suffix us, ms, s, m, h or d; seconds without one.
    case duration
    case integer(ClosedRange<UInt64>)
    case boolean
    case choice([String])
    /// Operations with their weights: `write:40,append:20`.
    case mix

    /// What stands behind `=` in the help.
    package var unit: String {
      switch self {
      case .text: "NAME"
      case .names: "NAME[:NAME…]"
      case .bytes: "BYTES"
      case .duration: "TIME"
      case .integer: "N"
      case .boolean: "0|1"
      case .choice(let names): names.joined(separator: "|")
      case .mix: "OPERATION:WEIGHT,…"
      }
    }
  }

  package let name: Name
  /// Other spellings: fio's, and `seed`, which is the name of the seed in every verb.
  package let aliases: [String]
  package let kind: Kind
  /// The value when nobody gives one, written as a user would; nil when there is none, or when it depends on others.
  package let defaultText: String?
  package let help: String

  init(_ name: Name, _ kind: Kind, default defaultText: String? = nil, aliases: [String] = [], _ help: String) {
    self.name = name
    self.aliases = aliases
    self.kind = kind
    self.defaultText = defaultText
    self.help = help
  }

  /// The option of this name.
  package static func option(_ name: Name) -> JobOption { all[index[name]!] }

  /// The option that is written so, by its name or an alias.
  package static func named(_ spelling: String) -> JobOption? {
    all.first { $0.name.rawValue == spelling || $0.aliases.contains(spelling) }
  }

  private static let index = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1.name, $0) })
}

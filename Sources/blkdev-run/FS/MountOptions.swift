internal import Ext2
internal import Logging
internal import Workload

/// The options of a mount, in the words of mount(8) and of the kernel's Documentation/filesystems/ext2.rst.
struct MountOptions: Sendable {
  private(set) var isReadOnly = false
  private var changes: [@Sendable (inout Ext2.VolumeOptions) -> Void] = []

  /// Options of a volume with these.
  func volumeOptions(isReadOnly: Bool, logger: Logger) -> Ext2.VolumeOptions {
    var options = Ext2.VolumeOptions()
    for change in changes { change(&options) }
    options.isReadOnly = isReadOnly || self.isReadOnly
    options.logger = logger
    return options
  }

  /// Words without a value, and what each does.
  private static let words: [(name: String, change: @Sendable (inout Ext2.VolumeOptions) -> Void)] = [
    ("defaults", { _ in }),
    ("noatime", { $0.accessTimes = .none }), ("relatime", { $0.accessTimes = .relative }),
    ("strictatime", { $0.accessTimes = .strict }), ("atime", { $0.accessTimes = .relative }),
    ("sync", { $0.isSynchronous = true }), ("async", { $0.isSynchronous = false }),
    ("dirsync", { $0.isDirectorySynchronous = true }),
    ("minixdf", { $0.countsOverhead = true }), ("bsddf", { $0.countsOverhead = false }),
    ("grpid", { $0.takesGroupOfDirectory = true }), ("bsdgroups", { $0.takesGroupOfDirectory = true }),
    ("nogrpid", { $0.takesGroupOfDirectory = false }), ("sysvgroups", { $0.takesGroupOfDirectory = false }),
    ("user_xattr", { $0.allowsUserAttributes = true }), ("nouser_xattr", { $0.allowsUserAttributes = false }),
    ("acl", { $0.allowsAccessControlLists = true }), ("noacl", { $0.allowsAccessControlLists = false }),
    ("reservation", { $0.usesReservationWindows = true }), ("noreservation", { $0.usesReservationWindows = false }),
    ("discard", { $0.discards = true }), ("nodiscard", { $0.discards = false }),
  ]
  private static let valueNames = ["errors", "sb", "resuid", "resgid", "frees", "allocation"]

  /// Takes options over, with commas between them.
  ///
  /// - Throws: `usage`.
  mutating func add(_ text: String) throws(FSError) {
    for option in text.split(separator: ",", omittingEmptySubsequences: true) {
      let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      if parts.count == 2 {
        changes.append(try Self.change(parts[0], parts[1]))
      } else if parts[0] == "ro" || parts[0] == "rw" {
        isReadOnly = parts[0] == "ro"
      } else if let word = Self.words.first(where: { $0.name == parts[0] }) {
        changes.append(word.change)
      } else {
        throw Self.unknown(parts[0])
      }
    }
  }

  private static func unknown(_ name: String) -> FSError {
    if valueNames.contains(name) { return .usage("-o \(name) needs a value: -o \(name)=…") }
    let names = ["ro", "rw"] + words.map(\.name)
    return .usage(
      "-o \(name): no such mount option" + FSOptions.hint(name, names + valueNames) + "\nThere are "
        + (names + valueNames.map { "\($0)=" }).joined(separator: ", "))
  }

  private static func change(_ name: String, _ value: String) throws(FSError)
    -> @Sendable (inout Ext2.VolumeOptions) -> Void
  {
    func number<T: FixedWidthInteger>(_ type: T.Type) throws(FSError) -> T {
      guard let number = T(value) else { throw .usage("-o \(name)=\(value): a number is wanted") }
      return number
    }
    func choice<T: RawRepresentable & CaseIterable>(
      _ type: T.Type
    ) throws(FSError) -> T where T.RawValue == String {
      guard let choice = T(rawValue: value) else {
        throw .usage("-o \(name)=\(value): there are \(T.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return choice
    }
    switch name {
    case "errors":
      // The kernel's word for what ends everything; without the panic here.
      let policy = value == "panic" ? ErrorPolicy.abort : try choice(ErrorPolicy.self)
      return { $0.onErrors = policy }
    case "sb":
      let location = try number(UInt64.self)
      return { $0.superblockLocation = location }
    case "resuid":
      let user = try number(UInt32.self)
      return { $0.reservedUser = user }
    case "resgid":
      let group = try number(UInt32.self)
      return { $0.reservedGroup = group }
    case "frees":
      let frees = try choice(FreesName.self)
      return { $0.frees = frees }
    case "allocation":
      let policy = try choice(AllocationPolicyName.self)
      return { $0.allocation = policy }
    default:
      if words.contains(where: { $0.name == name }) || name == "ro" || name == "rw" {
        throw .usage("-o \(name) takes no value")
      }
      throw unknown(name)
    }
  }
}

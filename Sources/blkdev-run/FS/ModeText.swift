internal import Ext2
internal import Ext2Format

extension InodeType {
  /// The letter of ls.
  var letter: Character {
    switch self {
    case .regular: "-"
    case .directory: "d"
    case .symbolicLink: "l"
    case .characterDevice: "c"
    case .blockDevice: "b"
    case .fifo: "p"
    case .socket: "s"
    }
  }

  /// As stat(1) says it.
  func text(byteCount: UInt64) -> String {
    switch self {
    case .regular: byteCount == 0 ? "regular empty file" : "regular file"
    case .directory: "directory"
    case .symbolicLink: "symbolic link"
    case .characterDevice: "character special file"
    case .blockDevice: "block special file"
    case .fifo: "fifo"
    case .socket: "socket"
    }
  }

  /// The word of JSON documents.
  var word: String {
    switch self {
    case .regular: "regular"
    case .directory: "directory"
    case .symbolicLink: "symlink"
    case .characterDevice: "char"
    case .blockDevice: "block"
    case .fifo: "fifo"
    case .socket: "socket"
    }
  }
}

/// "drwxr-xr-x", with the letters for set-id and sticky bits.
func modeText(_ type: InodeType, _ permissions: UInt16) -> String {
  var text = String(type.letter)
  for (shift, special, letter) in [(6, 0o4000, "s"), (3, 0o2000, "s"), (0, 0o1000, "t")] as [(UInt16, UInt16, String)] {
    let bits = permissions >> shift & 7
    text += bits & 4 != 0 ? "r" : "-"
    text += bits & 2 != 0 ? "w" : "-"
    if permissions & special != 0 {
      text += bits & 1 != 0 ? letter : letter.uppercased()
    } else {
      text += bits & 1 != 0 ? "x" : "-"
    }
  }
  return text
}

/// Permissions in octal, as stat prints them.
func octalText(_ permissions: UInt16) -> String {
  let digits = String(permissions, radix: 8)
  return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
}

/// A change of permissions, in the language of chmod: octal, or "u+rwx,g=u,o-w". There is no umask: who is left out of a
/// clause is everybody.
struct ModeChange {
  private struct Clause {
    let who: UInt16
    let operation: Character
    /// Bits of any class, from r, w, x, s, t.
    let bits: UInt16
    /// Execution for directories and for who has any already.
    let conditionalExecution: Bool
    /// Copy the permissions of a class: its shift.
    let copied: UInt16?
  }
  private var octal: UInt16?
  private var clauses: [Clause] = []

  /// Nil for what is no mode.
  init?(_ text: String) {
    if let octal = UInt16(text, radix: 8), !text.hasPrefix("+"), !text.hasPrefix("-"), octal <= 0o7777 {
      self.octal = octal
      return
    }
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      var rest = part[...]
      var who: UInt16 = 0
      while let letter = rest.first, let bits = Self.classes[letter] {
        who |= bits
        rest.removeFirst()
      }
      if who == 0 { who = 0o7777 }
      guard !rest.isEmpty else { return nil }
      while let operation = rest.first {
        guard "+-=".contains(operation) else { return nil }
        rest.removeFirst()
        guard let clause = Self.clause(who, operation, &rest) else { return nil }
        clauses.append(clause)
      }
    }
  }

  private static let classes: [Character: UInt16] = ["u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777]

  private static func clause(_ who: UInt16, _ operation: Character, _ rest: inout Substring) -> Clause? {
    if let letter = rest.first, let shift = ["u": 6, "g": 3, "o": 0][letter] as UInt16? {
      rest.removeFirst()
      return Clause(who: who, operation: operation, bits: 0, conditionalExecution: false, copied: shift)
    }
    var bits: UInt16 = 0, conditional = false
    while let letter = rest.first, !"+-=".contains(letter) {
      switch letter {
      case "r": bits |= 0o444
      case "w": bits |= 0o222
      case "x": bits |= 0o111
      case "s": bits |= 0o6000
      case "t": bits |= 0o1000
      case "X": conditional = true
      default: return nil
      }
      rest.removeFirst()
    }
    return Clause(who: who, operation: operation, bits: bits, conditionalExecution: conditional, copied: nil)
  }

  /// What the permissions of a file become.
  func applied(to permissions: UInt16, isDirectory: Bool) -> UInt16 {
    // GNU chmod: a directory keeps its set-id bits when octal digits do not name them.
    if let octal { return isDirectory && octal < 0o1000 ? permissions & 0o6000 | octal : octal }
    var mode = permissions
    for clause in clauses {
      var bits = clause.bits
      if let shift = clause.copied {
        let triple = mode >> shift & 7
        bits = triple << 6 | triple << 3 | triple
      }
      if clause.conditionalExecution && (isDirectory || mode & 0o111 != 0) { bits |= 0o111 }
      bits &= clause.who
      switch clause.operation {
      case "+": mode |= bits
      case "-": mode &= ~bits
      default:
        // GNU chmod: "=" leaves a directory's set-id bits alone unless they are named.
        let kept = isDirectory ? 0o6000 & ~clause.bits : 0
        mode = mode & (~clause.who | kept) | bits
      }
    }
    return mode & 0o7777
  }

  /// Whether a word that begins with a dash is such a change, "-w" for example.
  static func isChange(_ word: String) -> Bool { word.count > 1 && word != "-R" && ModeChange(word) != nil }
}

/// The flags of chattr and lsattr: letters in lsattr's order, and their bits (lib/e2p/pf.c of e2fsprogs).
enum FlagText {
  /// What ext2 knows of lsattr's columns; the others belong to ext4 and are shown when they are set.
  static let letters: [(letter: Character, flag: InodeFlags)] = [
    ("s", .secureDeletion), ("u", .undelete), ("S", .synchronous), ("D", .directorySynchronous), ("i", .immutable),
    ("a", .appendOnly), ("d", .noDump), ("A", .noAccessTime), ("c", .compress), ("E", InodeFlags(rawValue: 0x800)),
    ("j", .journalData), ("I", .index), ("t", .noTail), ("T", .topDirectory), ("e", .extents),
    ("C", InodeFlags(rawValue: 0x80_0000)), ("x", InodeFlags(rawValue: 0x200_0000)),
    ("F", InodeFlags(rawValue: 0x4000_0000)), ("N", .inlineData), ("P", InodeFlags(rawValue: 0x2000_0000)),
    ("V", InodeFlags(rawValue: 0x10_0000)), ("m", InodeFlags(rawValue: 0x400)),
  ]

  /// lsattr's column.
  static func text(_ flags: InodeFlags) -> String {
    String(letters.map { flags.contains($0.flag) ? $0.letter : "-" })
  }

  /// Letters alone, without the dashes.
  static func shortText(_ flags: InodeFlags) -> String {
    String(letters.filter { flags.contains($0.flag) }.map(\.letter))
  }

  /// The flags that letters mean; nil when one of them cannot be changed or means none.
  static func flags(_ text: some StringProtocol) -> InodeFlags? {
    var flags: InodeFlags = []
    for letter in text {
      guard let found = letters.first(where: { $0.letter == letter }), InodeFlags.changeable.contains(found.flag) else {
        return nil
      }
      flags.insert(found.flag)
    }
    return flags
  }

  /// What chattr can change.
  static var changeable: String { shortText(.changeable) }
}

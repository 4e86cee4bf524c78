// The text of ACLs: what getfacl prints, and what setfacl takes.
//
//     user::rwx                 one entry a line, or several with commas between them
//     u:1000:r-x                words may be cut to their first letter, permissions be a digit, the number be left out
//     mask::rwx                 with its colon (m:rwx)
//     default:group:50:r--      of the default ACL
//     # a comment, to the end of the line
//
// Users and groups are numbers: a volume knows no names. Source: acl(5), setfacl(1).

extension AccessPermissions: CustomStringConvertible {
  /// Three characters, such as `r-x`.
  public var description: String {
    (contains(.read) ? "r" : "-") + (contains(.write) ? "w" : "-") + (contains(.execute) ? "x" : "-")
  }

  /// Takes letters in any order, each at most once or a dash (`rx`, `r--`), or one octal digit; nil for anything else.
  public init?(text: some StringProtocol) {
    if let digit = text.utf8.first, text.utf8.count == 1, (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(digit) {
      self.init(rawValue: UInt16(digit - UInt8(ascii: "0")))
      return
    }
    var found: Self = []
    guard !text.isEmpty, text.utf8.count <= 3 else { return nil }
    for letter in text.utf8 where letter != UInt8(ascii: "-") {
      let bit: Self
      switch letter {
      case UInt8(ascii: "r"): bit = .read
      case UInt8(ascii: "w"): bit = .write
      case UInt8(ascii: "x"): bit = .execute
      default: return nil
      }
      guard found.insert(bit).inserted else { return nil }
    }
    self = found
  }
}

extension AccessControlEntry.Tag: CustomStringConvertible {
  /// As in the long form, with its second colon: `user:1000:`, `mask::`.
  public var description: String {
    switch self {
    case .owner: "user::"
    case .user(let id): "user:\(id):"
    case .owningGroup: "group::"
    case .group(let id): "group:\(id):"
    case .mask: "mask::"
    case .other: "other::"
    }
  }
}

extension AccessControlEntry: CustomStringConvertible {
  /// The long form, such as `user:1000:r-x`.
  public var description: String { "\(tag)\(permissions)" }
}

extension AccessControlList: CustomStringConvertible {
  /// The long form, one entry a line, each with a newline.
  public var description: String { entries.map { "\($0)\n" }.joined() }
}

/// An entry as text names it: perhaps of the default ACL, perhaps without permissions.
public struct AccessControlClause: Hashable, Sendable {
  /// Whether it is about the default ACL.
  public var isDefault: Bool
  /// Whom it is about.
  public var tag: AccessControlEntry.Tag
  /// What they may do; nil where the text only says which entry is meant, to remove it.
  public var permissions: AccessPermissions?

  /// A clause.
  public init(isDefault: Bool = false, _ tag: AccessControlEntry.Tag, _ permissions: AccessPermissions?) {
    self.isDefault = isDefault
    self.tag = tag
    self.permissions = permissions
  }

  /// Reads the clauses of a text, of either form. Throws `badText` with the first entry that is none.
  public static func parse(_ text: String) throws(AccessControlError) -> [Self] {
    var clauses: [Self] = []
    for line in text.split(whereSeparator: \.isNewline) {
      let words = line.prefix { $0 != "#" }
      for word in words.split(separator: ",") {
        let entry = word.filter { !$0.isWhitespace }
        if !entry.isEmpty { clauses.append(try parse(entry: entry)) }
      }
    }
    return clauses
  }

  private static func parse(entry: String) throws(AccessControlError) -> Self {
    var fields = entry.split(separator: ":", omittingEmptySubsequences: false)[...]
    func isWord(_ field: Substring, _ word: String) -> Bool { field == word || field == word.prefix(1) }
    var isDefault = false
    if let first = fields.first, isWord(first, "default") {
      isDefault = true
      fields = fields.dropFirst()
    }
    guard let kind = fields.popFirst() else { throw .badText(entry, why: "says nothing of whom it is about") }
    let isUser = isWord(kind, "user")
    if isUser || isWord(kind, "group") {
      let name = fields.popFirst() ?? ""
      let permissions = try permissions(fields, entry)
      if name.isEmpty { return Self(isDefault: isDefault, isUser ? .owner : .owningGroup, permissions) }
      guard name.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let id = UInt32(name),
        id != AccessControlEntry.undefinedID
      else { throw .badText(entry, why: "users and groups are numbers here") }
      return Self(isDefault: isDefault, isUser ? .user(id) : .group(id), permissions)
    }
    let isMask = isWord(kind, "mask")
    guard isMask || isWord(kind, "other") else { throw .badText(entry, why: "neither user, group, mask nor other") }
    // The field of the number is empty, or not there.
    if let first = fields.first, first.isEmpty { fields = fields.dropFirst() }
    return Self(isDefault: isDefault, isMask ? .mask : .other, try permissions(fields, entry))
  }

  private static func permissions(
    _ fields: ArraySlice<Substring>, _ entry: String
  ) throws(AccessControlError) -> AccessPermissions? {
    guard let field = fields.first, !(field.isEmpty && fields.count == 1) else { return nil }
    guard fields.count == 1, let permissions = AccessPermissions(text: field) else {
      throw .badText(entry, why: "not permissions such as rw- or 6")
    }
    return permissions
  }
}

extension AccessControlList {
  /// A whole ACL from its text, in any order of entries, all of them access or all default. Throws `badText` or
  /// `invalid`.
  public init(text: String) throws(AccessControlError) {
    var entries: [AccessControlEntry] = []
    for clause in try AccessControlClause.parse(text) {
      guard let permissions = clause.permissions else {
        throw .badText("\(clause.tag)", why: "without permissions")
      }
      entries.append(AccessControlEntry(clause.tag, permissions))
    }
    entries.sort { $0.tag < $1.tag }
    try self.init(entries)
  }
}

/// Read, write and execute, for one class or one user or group (acl(5), `ACL_READ` …).
public struct AccessPermissions: OptionSet, Hashable, Sendable {
  /// Three bits, as in a mode.
  public let rawValue: UInt16
  /// Keeps the lowest three bits.
  public init(rawValue: UInt16) { self.rawValue = rawValue & 7 }

  /// May read; may list a directory.
  public static let read = Self(rawValue: 4)
  /// May write.
  public static let write = Self(rawValue: 2)
  /// May execute; may search a directory.
  public static let execute = Self(rawValue: 1)
}

/// One entry of an ACL: whom it is about, and what they may do.
public struct AccessControlEntry: Hashable, Sendable {
  /// Whom an entry is about, in the order of the entries of an ACL.
  public enum Tag: Hashable, Sendable {
    /// The file's owner (`ACL_USER_OBJ`).
    case owner
    /// A user by number (`ACL_USER`).
    case user(UInt32)
    /// The file's group (`ACL_GROUP_OBJ`).
    case owningGroup
    /// A group by number (`ACL_GROUP`).
    case group(UInt32)
    /// The most that users, groups and the file's group get (`ACL_MASK`).
    case mask
    /// Everybody else (`ACL_OTHER`).
    case other
  }

  /// Whom it is about.
  public var tag: Tag
  /// What they may do.
  public var permissions: AccessPermissions

  /// An entry.
  public init(_ tag: Tag, _ permissions: AccessPermissions) {
    self.tag = tag
    self.permissions = permissions
  }

  /// The number that stands for the undefined user and group: no entry may name it (`ACL_UNDEFINED_ID`).
  public static let undefinedID = UInt32.max
}

extension AccessControlEntry.Tag: Comparable {
  /// The tag on the disk (include/linux/posix_acl.h, `ACL_USER_OBJ` …), and the number that goes with it.
  var code: (tag: UInt16, id: UInt32?) {
    switch self {
    case .owner: (0x01, nil)
    case .user(let id): (0x02, id)
    case .owningGroup: (0x04, nil)
    case .group(let id): (0x08, id)
    case .mask: (0x10, nil)
    case .other: (0x20, nil)
    }
  }

  /// The tag of a code; nil when there is none. `id` counts for users and groups only.
  init?(code: UInt16, id: UInt32) {
    switch code {
    case 0x01: self = .owner
    case 0x02: self = .user(id)
    case 0x04: self = .owningGroup
    case 0x08: self = .group(id)
    case 0x10: self = .mask
    case 0x20: self = .other
    default: return nil
    }
  }

  public static func < (lhs: Self, rhs: Self) -> Bool {
    let (left, right) = (lhs.code, rhs.code)
    return (left.tag, left.id ?? 0) < (right.tag, right.id ?? 0)
  }

  /// Whether it is about a user or a group by number.
  var isNamed: Bool { code.id != nil }
  /// Whether the mask limits it (acl(5), "access check algorithm").
  public var isMasked: Bool { isNamed || self == .owningGroup }
}

/// Why something is no ACL. The errno that Linux returns is in the comment.
public enum AccessControlError: Error, Equatable, Sendable {
  /// Not the entries of a valid ACL (EINVAL).
  case invalid(String)
  /// A form of another version (EOPNOTSUPP).
  case unsupportedVersion(UInt32)
  /// Text that cannot be read, from this entry on (EINVAL).
  case badText(String, why: String)
}

extension AccessControlError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalid(let why): "not a valid ACL: \(why)"
    case .unsupportedVersion(let version): "an ACL of version \(version)"
    case .badText(let text, let why): "'\(text)': \(why)"
    }
  }
}

/// A POSIX access control list (POSIX 1003.1e draft 17; acl(5)), always valid: one entry each for owner, owning group and
/// others, users and groups once and in ascending order, and a mask if there are any of these.
public struct AccessControlList: Hashable, Sendable {
  /// The entries, in their order.
  public private(set) var entries: [AccessControlEntry]

  /// An ACL of entries in their order, as a disk or a program hands them over (fs/posix_acl.c, posix_acl_valid).
  /// Throws `invalid`.
  public init(_ entries: [AccessControlEntry]) throws(AccessControlError) {
    for (entry, next) in zip(entries, entries.dropFirst()) {
      guard entry.tag < next.tag else { throw .invalid("entries that are not in order, or that occur twice") }
    }
    for entry in entries {
      guard entry.tag.code.id != AccessControlEntry.undefinedID else {
        throw .invalid("no user or group has number -1")
      }
    }
    let tags = entries.map(\.tag)
    guard tags.contains(.owner), tags.contains(.owningGroup), tags.contains(.other) else {
      throw .invalid("entries of owner, owning group or others are missing")
    }
    guard tags.contains(.mask) || !tags.contains(where: \.isNamed) else {
      throw .invalid("entries of users or groups need a mask")
    }
    self.entries = entries
  }

  /// The ACL that says the same as the permission bits of a mode (posix_acl_from_mode).
  package init(mode: FileMode) {
    entries = [
      AccessControlEntry(.owner, AccessPermissions(rawValue: mode.rawValue >> 6)),
      AccessControlEntry(.owningGroup, AccessPermissions(rawValue: mode.rawValue >> 3)),
      AccessControlEntry(.other, AccessPermissions(rawValue: mode.rawValue)),
    ]
  }

  /// What the entry of a tag allows; nil when there is no such entry. Only a valid ACL may come out of a change.
  public subscript(tag: AccessControlEntry.Tag) -> AccessPermissions? {
    entries.first { $0.tag == tag }?.permissions
  }

  /// What an entry really gives: the mask limits all but owner and others.
  public func effectivePermissions(of entry: AccessControlEntry) -> AccessPermissions {
    guard entry.tag.isMasked, let mask = self[.mask] else { return entry.permissions }
    return entry.permissions.intersection(mask)
  }

  // MARK: ACL and mode

  /// The entry whose permissions are the group bits of the mode: the mask, or the owning group without one.
  private var groupClassTag: AccessControlEntry.Tag { self[.mask] == nil ? .owningGroup : .mask }

  /// The nine permission bits that go with the ACL (posix_acl_equiv_mode).
  public var permissionBits: UInt16 {
    func bits(_ tag: AccessControlEntry.Tag) -> UInt16 { self[tag]?.rawValue ?? 0 }
    return bits(.owner) << 6 | bits(groupClassTag) << 3 | bits(.other)
  }

  /// Whether the permission bits say all that the ACL does, so that it need not be stored (posix_acl_equiv_mode).
  public var isEquivalentToMode: Bool { entries.count == 3 }

  /// A mode with the permission bits of the ACL.
  package func applied(to mode: FileMode) -> FileMode {
    FileMode(rawValue: mode.rawValue & ~0o777 | permissionBits)
  }

  /// The ACL after chmod (posix_acl_chmod_masq).
  package func changed(by mode: FileMode) -> Self {
    var copy = self
    let group = groupClassTag
    for index in entries.indices {
      let shift: UInt16
      switch entries[index].tag {
      case .owner: shift = 6
      case group: shift = 3
      case .other: shift = 0
      default: continue
      }
      copy.entries[index].permissions = AccessPermissions(rawValue: mode.rawValue >> shift)
    }
    return copy
  }

  /// The access ACL that a new file gets from a default ACL, and what becomes of the mode it was created with: each
  /// keeps only what the other allows, too (posix_acl_create_masq).
  package func inherited(withMode mode: FileMode) -> (acl: Self, mode: FileMode) {
    let allowed = FileMode(rawValue: mode.rawValue & (permissionBits | ~0o777))
    return (changed(by: allowed), allowed)
  }

  /// What a new file gets from its directory's default ACL (fs/posix_acl.c, posix_acl_create): its mode, its access ACL
  /// unless the mode says the same, and its default ACL if it is a directory.
  ///
  /// - Parameters:
  ///   - parent: the directory's default ACL, or nil.
  ///   - mode: what the file is created with. Symbolic links inherit nothing.
  ///   - umask: bits that the creator does not want; they count only without a default ACL.
  package static func inherited(
    from parent: Self?, mode: FileMode, umask: UInt16
  ) -> (mode: FileMode, access: Self?, default: Self?) {
    if mode.type == .symbolicLink { return (mode, nil, nil) }
    guard let parent else { return (FileMode(rawValue: mode.rawValue & ~(umask & 0o777)), nil, nil) }
    let (acl, mode) = parent.inherited(withMode: mode)
    return (mode, acl.isEquivalentToMode ? nil : acl, mode.type == .directory ? parent : nil)
  }
}

/// Which family a name of an extended attribute belongs to: the byte that stands for its prefix on the disk
/// (`e_name_index`; fs/ext2/xattr.h, `EXT2_XATTR_INDEX_*`).
package struct AttributeNamespace: RawRepresentable, Hashable, Sendable {
  /// The byte on the disk.
  package let rawValue: UInt8
  /// Takes any byte; one without a name here belongs to another system and is left alone.
  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// What users store on their files and directories.
  package static let user = Self(rawValue: 1)
  /// The access ACL; the whole name is the prefix.
  package static let accessACL = Self(rawValue: 2)
  /// The default ACL of a directory; the whole name is the prefix.
  package static let defaultACL = Self(rawValue: 3)
  /// What only the administrator sees.
  package static let trusted = Self(rawValue: 4)
  /// What security modules store.
  package static let security = Self(rawValue: 6)

  private static let prefixes: [(namespace: Self, text: StaticString)] = [
    (.user, "user."), (.accessACL, "system.posix_acl_access"), (.defaultACL, "system.posix_acl_default"),
    (.trusted, "trusted."), (.security, "security."),
  ]

  /// What names of this family begin with, or nil when the family is not known here.
  package var prefix: String? { Self.prefixes.first { $0.namespace == self }?.text.description }

  /// Whether the prefix is the whole name.
  package var isWholeName: Bool { self == .accessACL || self == .defaultACL }

  /// Every family known here.
  fileprivate static var known: [Self] { prefixes.map(\.namespace) }
}

/// The name of an extended attribute.
///
/// Names are ordered as in an attribute block: by family, then by length, then by bytes (fs/ext2/xattr.c,
/// ext2_xattr_cmp_entry).
package struct AttributeName: Hashable, Comparable, Sendable {
  /// Bytes of the longest suffix, and of the longest whole name (`XATTR_NAME_MAX`).
  package static let maximumByteCount = 255

  /// The family.
  package let namespace: AttributeNamespace
  /// What follows the prefix: 1 to 255 bytes without a NUL, or nothing for the two ACLs.
  package let suffix: [UInt8]

  /// A name as the disk holds it.
  package init(_ namespace: AttributeNamespace, _ suffix: [UInt8]) {
    precondition(suffix.count <= Self.maximumByteCount, "a name longer than the disk can hold")
    self.namespace = namespace
    self.suffix = suffix
  }

  /// The name of the access ACL.
  package static let accessACL = Self(.accessACL, [])
  /// The name of the default ACL.
  package static let defaultACL = Self(.defaultACL, [])

  /// Why a text is not the name of an attribute. The errno that Linux returns is in the comment.
  package enum ParseError: Error, Equatable, Sendable {
    /// Empty or more than 255 bytes (ERANGE).
    case badLength
    /// A known prefix with nothing after it, or a NUL (EINVAL).
    case malformed
    /// No prefix that is known here (EOPNOTSUPP).
    case unknownPrefix
  }

  /// Takes a whole name apart, such as `user.comment` (fs/xattr.c, import_xattr_name and xattr_resolve_name).
  package init(parsing text: [UInt8]) throws(ParseError) {
    guard !text.isEmpty, text.count <= Self.maximumByteCount else { throw .badLength }
    guard !text.contains(0) else { throw .malformed }
    for namespace in AttributeNamespace.known {
      guard let prefix = namespace.prefix.map({ Array($0.utf8) }), text.starts(with: prefix) else { continue }
      let suffix = Array(text.dropFirst(prefix.count))
      if namespace.isWholeName {
        // A longer text is another name, which nobody knows.
        guard suffix.isEmpty else { continue }
      } else if suffix.isEmpty {
        throw .malformed
      }
      self.init(namespace, suffix)
      return
    }
    throw .unknownPrefix
  }

  /// The whole name, or nil when its family is not known here: such an attribute is kept, and not listed.
  package var text: [UInt8]? { namespace.prefix.map { Array($0.utf8) + suffix } }

  package static func < (lhs: Self, rhs: Self) -> Bool {
    if lhs.namespace != rhs.namespace { return lhs.namespace.rawValue < rhs.namespace.rawValue }
    if lhs.suffix.count != rhs.suffix.count { return lhs.suffix.count < rhs.suffix.count }
    return lhs.suffix.lexicographicallyPrecedes(rhs.suffix)
  }
}

// Extended attributes and ACLs on their way between files. An ACL goes as the attribute that system calls know it by.
internal import Ext2
internal import Reactor

/// The two ACLs.
let accessListName = Array("system.posix_acl_access".utf8)
let defaultListName = Array("system.posix_acl_default".utf8)

/// An attribute and its value.
typealias Attribute = (name: [UInt8], value: [UInt8])

/// Whether an attribute is of a family that ext2 keeps; the others belong to the file system that it comes from.
func isKept(_ name: [UInt8]) -> Bool {
  ["user.", "trusted.", "security."].contains { name.starts(with: $0.utf8) }
    || name == accessListName || name == defaultListName
}

extension Volume {
  /// All attributes of a file, by name.
  func attributes(_ path: [UInt8]) async throws(TreeError) -> [Attribute] {
    var attributes: [Attribute] = []
    let names = try await at(path) { () async throws(Ext2Error) in
      try await attributeNames(of: path, followsLink: false)
    }
    for name in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      let value = try await at(path) { () async throws(Ext2Error) in
        try await attribute(name, of: path, followsLink: false)
      }
      attributes.append((name, value))
    }
    return attributes
  }

  /// Gives a copy what its original has: the attributes, and no others, because it may have inherited an ACL; and owner,
  /// permissions and times.
  ///
  /// The owner first, because a change of owner takes set-id bits and capabilities away; the ACL before the permissions, which
  /// are part of it.
  func apply(_ changes: StatusChanges, _ attributes: [Attribute], to path: [UInt8]) async throws(TreeError) {
    let present = try await at(path) { () async throws(Ext2Error) in
      try await attributeNames(of: path, followsLink: false)
    }
    if !present.isEmpty || !attributes.isEmpty {
      let owner = StatusChanges(user: changes.user, group: changes.group)
      try await at(path) { () async throws(Ext2Error) in try await change(path, owner, followsLink: false) }
    }
    for name in present where !attributes.contains(where: { $0.name == name }) {
      try await at(path) { () async throws(Ext2Error) in
        try await removeAttribute(name, of: path, followsLink: false)
      }
    }
    for attribute in attributes {
      do throws(Ext2Error) {
        try await setAttribute(attribute.name, to: attribute.value, of: path, followsLink: false)
      } catch {
        let name = ShellWords.quotedIfNeeded(attribute.name)
        throw TreeError("\(ShellWords.quotedIfNeeded(path)): \(name)", .volume(error))
      }
    }
    var changes = changes
    if !attributes.isEmpty { (changes.user, changes.group) = (nil, nil) }
    let rest = changes
    try await at(path) { () async throws(Ext2Error) in try await change(path, rest, followsLink: false) }
  }
}

extension StatusChanges {
  /// What makes one file another's copy, but for its flags and attributes.
  init(copying status: FileStatus) {
    self.init(
      permissions: status.permissions, user: status.user, group: status.group, accessTime: status.accessTime,
      modificationTime: status.modificationTime)
  }
  /// The same from a file of this machine; with an access time that is not the file's where there is one.
  init(copying node: HostNode, accessTime: CalendarTime?) {
    self.init(
      permissions: node.permissions, user: node.user, group: node.group, accessTime: accessTime ?? node.accessTime,
      modificationTime: node.modificationTime)
  }
}

extension TreeControl {
  /// The attributes of a file of this machine that ext2 keeps; of the others a warning tells.
  func attributes(
    names: [[UInt8]], _ value: ([UInt8]) throws(TreeError) -> [UInt8]?
  ) throws(TreeError) -> [Attribute] {
    var attributes: [Attribute] = []
    for name in names {
      guard isKept(name) else {
        warnOnce("attributes \(ShellWords.quotedIfNeeded(name)) are not of a family that ext2 has; they are left out")
        continue
      }
      if let value = try value(name) { attributes.append((name, value)) }
    }
    return attributes
  }
}

extension HostDirectory {
  /// Gives a file of this machine these attributes, and no other ACLs: it may have inherited some.
  func setAttributes(_ attributes: [Attribute], of name: [UInt8], _ control: TreeControl) throws(TreeError) {
    for list in [accessListName, defaultListName] where !attributes.contains(where: { $0.name == list }) {
      removeAttribute(list, of: name)
    }
    for attribute in attributes {
      if try !setAttribute(attribute.name, to: attribute.value, of: name) {
        let family = attribute.name.prefix { $0 != UInt8(ascii: ".") }
        control.warnOnce(
          "the target takes no attributes \(String(decoding: family, as: UTF8.self)).*; they are left out")
      }
    }
  }
}

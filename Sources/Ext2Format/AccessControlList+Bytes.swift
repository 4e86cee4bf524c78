// The two forms of an ACL as bytes.
//
//     in an attribute of ext2 (fs/ext2/acl.h)         as value of system.posix_acl_* at a system call
//          0    4 version, 1                               0    4 version, 2
//     and for each entry                              and for each entry
//          0    2 tag                                      0    2 tag
//          2    2 permissions                              2    2 permissions
//          4    4 number, of users and groups only         4    4 number, else -1
//
// Source of the second: include/uapi/linux/posix_acl_xattr.h, fs/posix_acl.c.

extension AccessControlList {
  private static let diskVersion: UInt32 = 1
  private static let transferVersion: UInt32 = 2

  /// The bytes as ext2 stores them.
  public var diskBytes: [UInt8] { encoded(version: Self.diskVersion, hasEveryID: false) }

  /// The bytes that programs exchange with a kernel.
  public var transferBytes: [UInt8] { encoded(version: Self.transferVersion, hasEveryID: true) }

  private func encoded(version: UInt32, hasEveryID: Bool) -> [UInt8] {
    var bytes: [UInt8] = []
    func append(_ value: UInt32, _ count: Int) {
      for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(8 * index))) }
    }
    append(version, 4)
    for entry in entries {
      let (tag, id) = entry.tag.code
      append(UInt32(tag), 2)
      append(UInt32(entry.permissions.rawValue), 2)
      if hasEveryID || id != nil { append(id ?? AccessControlEntry.undefinedID, 4) }
    }
    return bytes
  }

  /// Takes an ACL from the value of an attribute; nil when it has no entries (fs/ext2/acl.c, ext2_acl_from_disk). Throws
  /// `invalid` of the structure `accessControlList`: such a value is corruption.
  package static func decode(diskBytes bytes: [UInt8], at location: FormatError.Location) throws(FormatError) -> Self? {
    func refuse(_ field: String, _ value: UInt64, _ why: String) -> FormatError {
      .invalid(.accessControlList, at: location, field: field, value: value, why: why)
    }
    guard bytes.count >= 4 else {
      throw .truncated(.accessControlList, neededBytes: 4, availableBytes: bytes.count)
    }
    let version = word(bytes, 0)
    guard version == diskVersion else { throw refuse("a_version", UInt64(version), "1 is the only version") }
    var entries: [AccessControlEntry] = []
    var offset = 4
    while offset < bytes.count {
      guard offset + 4 <= bytes.count else { throw refuse("entry", UInt64(offset), "is cut off") }
      let (tag, permissions) = (half(bytes, offset), half(bytes, offset + 2))
      let isNamed = AccessControlEntry.Tag(code: tag, id: 0)?.isNamed ?? false
      guard offset + (isNamed ? 8 : 4) <= bytes.count else { throw refuse("entry", UInt64(offset), "is cut off") }
      guard let known = AccessControlEntry.Tag(code: tag, id: isNamed ? word(bytes, offset + 4) : 0) else {
        throw refuse("e_tag", UInt64(tag), "no kind of entry")
      }
      guard permissions <= 7 else { throw refuse("e_perm", UInt64(permissions), "more than read, write, execute") }
      entries.append(AccessControlEntry(known, AccessPermissions(rawValue: permissions)))
      offset += isNamed ? 8 : 4
    }
    if entries.isEmpty { return nil }
    do throws(AccessControlError) { return try Self(entries) } catch {
      throw refuse("entries", UInt64(entries.count), error.description)
    }
  }

  /// Takes an ACL from bytes that a program hands over; nil when they have no entries, which removes an ACL
  /// (fs/posix_acl.c, posix_acl_from_xattr and posix_acl_valid). Throws `unsupportedVersion` or `invalid`.
  public static func decode(transferBytes bytes: [UInt8]) throws(AccessControlError) -> Self? {
    if bytes.isEmpty { return nil }
    guard bytes.count >= 4 else { throw .invalid("shorter than its header") }
    guard word(bytes, 0) == transferVersion else { throw .unsupportedVersion(word(bytes, 0)) }
    guard bytes.count % 8 == 4 else { throw .invalid("its last entry is cut off") }
    var entries: [AccessControlEntry] = []
    for offset in stride(from: 4, to: bytes.count, by: 8) {
      guard let tag = AccessControlEntry.Tag(code: half(bytes, offset), id: word(bytes, offset + 4)) else {
        throw .invalid("an entry of no known kind")
      }
      guard half(bytes, offset + 2) <= 7 else { throw .invalid("permissions beyond read, write and execute") }
      entries.append(AccessControlEntry(tag, AccessPermissions(rawValue: half(bytes, offset + 2))))
    }
    return entries.isEmpty ? nil : try Self(entries)
  }

  private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    UInt32(half(bytes, offset)) | UInt32(half(bytes, offset + 2)) << 16
  }
  private static func half(_ bytes: [UInt8], _ offset: Int) -> UInt16 {
    UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8
  }
}

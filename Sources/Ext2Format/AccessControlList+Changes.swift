// What setfacl does to an ACL before it sets it (setfacl(1), "The -m and -x options"; the mask).

extension AccessControlList {
  /// What becomes of the mask when entries change.
  public enum MaskRule: Sendable {
    /// It becomes the union of all it limits, unless the change names it (setfacl without an option).
    case recalculatedUnlessGiven
    /// It becomes the union even then (`--mask`).
    case recalculated
    /// It stays as it is (`-n`).
    case kept
  }

  /// The ACL with entries set, each anew or over the one of its tag (`setfacl -m`). Throws `invalid` when what comes out
  /// is none.
  public func setting(
    _ changes: [AccessControlEntry], mask rule: MaskRule = .recalculatedUnlessGiven
  ) throws(AccessControlError) -> Self {
    var entries = entries
    for change in changes {
      entries.removeAll { $0.tag == change.tag }
      entries.append(change)
    }
    if entries.contains(where: \.tag.isNamed), !entries.contains(where: { $0.tag == .mask }) {
      // A mask that is needed begins as what the group may do.
      let group = entries.first { $0.tag == .owningGroup }
      entries.append(AccessControlEntry(.mask, group?.permissions ?? []))
    }
    return try Self(unsorted: entries, rule, isMaskGiven: changes.contains { $0.tag == .mask })
  }

  /// The ACL without the entries of some tags (`setfacl -x`); those that are not there do not matter. Throws `invalid`
  /// when what comes out is none: owner, owning group and others stay, and the mask while it is needed.
  public func removing(
    _ tags: [AccessControlEntry.Tag], mask rule: MaskRule = .recalculatedUnlessGiven
  ) throws(AccessControlError) -> Self {
    try Self(unsorted: entries.filter { !tags.contains($0.tag) }, rule, isMaskGiven: tags.contains(.mask))
  }

  /// A default ACL from its first entries: those it must have and that are not given are the access ACL's
  /// (setfacl(1), "automatically created entries").
  public init(
    default entries: [AccessControlEntry], from access: AccessControlList,
    mask rule: MaskRule = .recalculatedUnlessGiven
  ) throws(AccessControlError) {
    let base = access.entries.filter { [.owner, .owningGroup, .other].contains($0.tag) }
    self = try Self(base).setting(entries, mask: rule)
  }

  private init(
    unsorted entries: [AccessControlEntry], _ rule: MaskRule, isMaskGiven: Bool
  ) throws(AccessControlError) {
    var entries = entries
    let hasMask = entries.contains { $0.tag == .mask }
    if hasMask && (rule == .recalculated || rule == .recalculatedUnlessGiven && !isMaskGiven) {
      let union = entries.filter(\.tag.isMasked).reduce(into: AccessPermissions()) { $0.formUnion($1.permissions) }
      entries.removeAll { $0.tag == .mask }
      entries.append(AccessControlEntry(.mask, union))
    }
    try self.init(entries.sorted { $0.tag < $1.tag })
  }
}
